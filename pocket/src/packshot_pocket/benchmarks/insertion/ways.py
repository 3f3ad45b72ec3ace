"""Packshot's insertion methods, and alternatives to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from packshot.captions import caption_photos
from packshot.class_images import collect_class_images
from packshot.insertion import Box, InsertionSettings, Placement, cutouts, load_background
from packshot.insertion.background import Background, Colours
from packshot.insertion.inpaint_product import NothingPainted
from packshot.insertion.insert import insert
from packshot.insertion.lighting import Light
from packshot.lora import Lora, load_lora
from packshot.models import DiffusionModel
from packshot.photos.photo_set import list_photos
from packshot.plan import Budget, make_plan
from packshot.project import Project
from packshot.training import train
from packshot_pocket.benchmarks.insertion.cases import Case


@dataclass(frozen=True)
class Made:
    """A picture with the product, and where it was laid if that is not the true silhouette: [h, w]."""

    picture: Background
    laid: Colours | None = None


def ours(project: Project, case: Case, work: Path, light: Light | None = None) -> Made:
    """Packshot's method "composite", with estimated or given light."""
    settings = InsertionSettings(
        horizon=case.horizon,
        light_azimuth_degrees=light.azimuth_degrees if light else None,
        light_elevation_degrees=light.elevation_degrees if light else None,
    )
    placement = Placement(case.box, case.mask[case.box.region])
    made = insert(project, case.background, placement, work / "made", settings=settings)
    (photo,) = cutouts.chosen(list_photos(project), made.photo)
    _, alpha, box = cutouts.fitted(cutouts.cut_out(photo), case.box)
    return Made(load_background(made.file), _laid(case, alpha, box))


def painted(project: Project, case: Case, work: Path, base: DiffusionModel, lora: Lora) -> Made:
    """Packshot's method "inpaint": the LoRA paints the product in the silhouette."""
    settings = InsertionSettings(horizon=case.horizon, method="inpaint")
    placement = Placement(case.box, case.mask[case.box.region])
    try:
        made = insert(
            project, case.background, placement, work / "painted", base=base, loras=[(lora, 1.0)],
            settings=settings,
        )  # fmt: skip
    except NothingPainted:
        return Made(case.background)
    return Made(load_background(made.file))


def inpainted(project: Project, case: Case, pipeline: Any) -> Made:
    """Diffusers' inpainting of the silhouette with the same LoRA, cropped to it and overlaid."""
    base_pixels = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    made = pipeline(
        project.subject.fill("a photo of {subject}"),
        image=Image.fromarray(case.background.pixels),
        mask_image=Image.fromarray(((case.mask > 0.5) * 255).astype(np.uint8)),
        height=base_pixels, width=base_pixels, padding_mask_crop=32, strength=1.0,
        num_inference_steps=20, guidance_scale=4.0,
        generator=torch.Generator().manual_seed(0),
    ).images[0]  # fmt: skip
    pixels = np.asarray(made.resize(case.background.pixels.shape[1::-1]))
    return Made(Background(case.background.name, pixels, None))


def pasted(project: Project, case: Case) -> tuple[Colours, Colours, Box]:
    """The same photo's cut-out without harmonization: colours, alpha and its box."""
    placement = Placement(case.box, case.mask[case.box.region])
    return cutouts.fitted(cutouts.best_photos(list_photos(project), placement, None)[0], case.box)


def _laid(case: Case, alpha: Colours, box: Box) -> Colours:
    laid = np.zeros_like(case.mask)
    laid[box.region] = alpha
    return laid


def plain_paste(project: Project, case: Case) -> Made:
    """The cut-out laid on the background."""
    colours, alpha, box = pasted(project, case)
    return Made(case.background.with_colours(box, colours, alpha), _laid(case, alpha, box))


def seamless_clone(project: Project, case: Case) -> Made:
    """OpenCV's Poisson blending of the cut-out (Perez et al. 2003)."""
    colours, alpha, box = pasted(project, case)
    ground = case.background.pixels.copy()
    layer = np.zeros_like(ground)
    layer[box.region] = (colours * 255).round().astype(np.uint8)
    mask = np.zeros(ground.shape[:2], np.uint8)
    mask[box.region] = (alpha > 0.5) * 255
    mask[[0, -1]] = mask[:, [0, -1]] = 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    middle = int(columns[0] + columns[-1] + 1) // 2, int(rows[0] + rows[-1] + 1) // 2
    made = cv2.seamlessClone(layer, ground, mask, middle, cv2.NORMAL_CLONE)
    return Made(Background(case.background.name, made, None), _laid(case, alpha, box))


def learnt(project: Project, base: DiffusionModel, seconds: float) -> None:
    """Train the project's LoRA, unless it stands."""
    if not project.lora_file.is_file():
        caption_photos(project, base)
        collect_class_images(project, base, count=24)
        make_plan(project, base, budget=Budget.of_training(seconds))
        for event in train(project, base):
            if getattr(event, "step", 0) % 50 == 0:
                print(project.subject.name, event)


def inpainting_pipeline(project: Project, base: DiffusionModel) -> Any:
    """Diffusers' pipeline of the base with the project's LoRA."""
    from diffusers import StableDiffusionInpaintPipeline

    pipeline: Any = StableDiffusionInpaintPipeline.from_pretrained(str(base.path))
    # It knows a UNet that was not trained to inpaint by its 4 channels; latents here have 8.
    pipeline.unet.register_to_config(in_channels=4)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(project.diffusers_lora_file))
    return pipeline


def ways_of(
    project: Project, work: Path, base: DiffusionModel | None, seconds: float
) -> dict[str, Callable[[Case], Made]]:
    """The ground truth, Packshot's methods and the alternatives; with a base also inpainting."""
    ways: dict[str, Callable[[Case], Made]] = {
        "truth": lambda case: Made(
            Background("", (case.truth * 255).round().astype(np.uint8), None)
        ),
        "Packshot": lambda case: ours(project, case, work),
        "Packshot, light given": lambda case: ours(project, case, work, case.light),
        "plain paste": lambda case: plain_paste(project, case),
        "seamlessClone": lambda case: seamless_clone(project, case),
    }
    if base:
        learnt(project, base, seconds)
        lora, pipeline = load_lora(project.lora_file, base), inpainting_pipeline(project, base)
        ways["Packshot, painted"] = lambda case: painted(project, case, work, base, lora)
        ways["diffusers' inpainting"] = lambda case: inpainted(project, case, pipeline)
    return ways
