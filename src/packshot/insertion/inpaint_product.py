"""Inpainting the product into a region of the background with the base and its LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.errors import InsertionError
from packshot.insertion.background import Box, Colours
from packshot.insertion.inpaint_crop import InpaintCrop
from packshot.insertion.scene import Composite, Scene
from packshot.lora import fused
from packshot.masks.bundled import BundledSegmenter
from packshot.settings import Subject

if TYPE_CHECKING:
    from packshot.insertion.settings import InsertionSettings
    from packshot.lora import Lora
    from packshot.models.diffusion_model import DiffusionModel

_RIM = 0.06
_GROUND = 0.22


class NothingPainted(InsertionError):
    """No product was found in the inpainted region."""


def inpaint_product(
    subject: Subject,
    scene: Scene,
    settings: InsertionSettings,
    seed: int,
    base: DiffusionModel,
    loras: Sequence[tuple[Lora, float]],
) -> Composite:
    """Inpaint the product, its ground and shadow into the scene's crop.

    The base works at its own resolution on an area around the region; outside the region nothing of
    its output is kept.

    Raises:
        NothingPainted: no product is found in the region.
    """
    region = _region(scene)
    canvas = InpaintCrop.around(scene.placement.box, scene.image.shape, base)
    with fused(base, loras):
        painted = canvas.painted(base, scene.image, region, subject, settings, seed)
    weights = (region * 3).clip(0, 1)
    weights[weights < 0.02] = 0
    after = scene.image.copy()
    part = canvas.box.region
    share = weights[part][..., None]
    after[part] = scene.image[part] * (1 - share) + painted * share
    alpha, box = _segmented(after, canvas.box, weights)
    zone = (weights > 0).astype(np.float32)
    shadow = _darkening(scene.image, after, zone)
    opacity = shadow.copy()
    opacity[box.region] = 1 - (1 - opacity[box.region]) * (1 - alpha)
    return Composite(after, zone, after[box.region], alpha, box, shadow, opacity, None)


def _region(scene: Scene) -> Colours:
    """Denoising strength per pixel of the crop, 0 to 1: the placement, and the ground for a shadow."""
    box, mask = scene.placement.box, scene.placement.mask
    full = np.zeros(scene.image.shape[:2], np.float32)
    full[box.region] = 1 if mask is None else mask
    ground = np.zeros_like(full)
    middle = box.left + box.width // 2, box.bottom - round(0.04 * box.height)
    axes = round(0.62 * box.width), max(2, round(_GROUND * box.height))
    cv2.ellipse(ground, middle, axes, 0, 0, 360, 0.85, -1)
    rim = max(1.0, _RIM * max(box.width, box.height))
    grown = cv2.dilate(full, np.ones((3, 3), np.uint8), iterations=max(1, round(rim / 2)))
    return cv2.GaussianBlur(np.maximum(grown, ground), (0, 0), rim / 2)


def _segmented(laid: Colours, canvas: Box, weights: Colours) -> tuple[Colours, Box]:
    """The inpainted product's alpha, by the bundled segmenter, and its box in the crop."""
    from PIL import Image

    part = (laid[canvas.region] * 255).round().astype(np.uint8)
    mask = np.asarray(BundledSegmenter().mask(Image.fromarray(part)), dtype=np.float32) / 255
    alpha = np.zeros(laid.shape[:2], np.float32)
    alpha[canvas.region] = mask
    alpha *= weights > 0
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise NothingPainted(
            "The base painted no product there. Try a larger place, other seeds, or --method composite."
        )
    top, left = int(rows[0]), int(columns[0])
    box = Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
    return alpha[box.region], box


def _darkening(before: Colours, after: Colours, zone: Colours) -> Colours:
    """The relative darkening of the changed area, per pixel, 0 to 1."""
    old, new = (
        cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY) for colours in (before, after)
    )
    return ((old - new) / np.maximum(old, 0.05)).clip(0, 1) * zone
