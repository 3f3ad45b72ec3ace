"""The stages of the bundled base, tiny, and a world of rectangles to train them on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from packshot_pocket.pretrain import (
    clip,
    data,
    identity,
    latents,
    light,
    mask_refiner,
    segmenter,
    shot_segmenter,
    trigger_words,
    unet,
    vae,
)
from packshot_pocket.pretrain.loop import Budget, LoopConfig

LOOP = LoopConfig(steps=4, batch=2, warmup_steps=1, seed=3)
CLIP = clip.ClipConfig(
    text_width=16, text_layers=1, text_heads=2, image_width=16, image_layers=1, image_heads=2,
    patch_pixels=64, joint_width=8, loop=LOOP, judged=2, captions_per_value=2,
)  # fmt: skip
NAMES = trigger_words.NamesConfig(loop=LOOP, judged=2)
VAE = vae.VaeConfig(
    widths=(8, 8, 8, 8), latent_channels=4, loop=LOOP, crop_pixels=32, generic_count=3, judged=2
)
UNET = unet.UnetConfig(
    widths=(32, 32), heads=2, loop=replace(LOOP, batch=2), judged=2, sample_steps=1
)
SEGMENTER = segmenter.SegmenterConfig(widths=(8, 8), loop=LOOP, generic_count=3, judged=2)
SHOTS = shot_segmenter.ShotSegmenterConfig(
    widths=(8, 8), loop=LOOP, shots=6, first_shots=4, sides=((0, 32), (2, 64)), judged=2
)
REFINER = mask_refiner.MaskRefinerConfig(
    widths=SHOTS.widths, loop=LOOP, shots=6, sides=((0, 32), (2, 64)), judged=2
)
IDENTITY = identity.IdentityConfig(
    widths=(8, 8, 8, 8, 8), dimensions=8, loop=replace(LOOP, batch=16), families=4, judged=2
)
LIGHT = light.LightConfig(loop=LOOP, drawn=4, held_out=4)
COLOURS = ("red", "blue", "green", "white")


def caption(attributes: Mapping[str, str], rng: random.Random) -> str:
    return rng.choice(("a photo of a ", "a ")) + f"{attributes['colour']} {attributes['noun']}"


def make_world(folder: Path, scenes: int = 5) -> None:
    folder.mkdir()
    for scene in range(scenes):
        colour = COLOURS[scene % len(COLOURS)]
        entries = []
        for camera in range(2):
            image = Image.new("RGB", (128, 128), "grey")
            ImageDraw.Draw(image).rectangle((20, 30 + 20 * camera, 100, 90), fill=colour)
            name = f"{scene:06d}-{camera}.png"
            image.save(folder / name)
            mask = Image.new("L", (128, 128))
            ImageDraw.Draw(mask).rectangle((20, 30 + 20 * camera, 100, 90), fill=255)
            mask.save(folder / f"{scene:06d}-{camera}-mask.png")
            facts = dict.fromkeys(data.ATTRIBUTES, "plain")
            entries.append({"file": name, **facts, "colour": colour, "noun": "suv"})
        (folder / f"{scene:06d}.json").write_text(json.dumps(entries))


def make_backgrounds(folder: Path, scenes: int = 4) -> Path:
    """Grounds that are brighter on the side where the light is."""
    if not folder.exists():
        folder.mkdir(parents=True)
        for scene in range(scenes):
            right = scene % 2 == 0
            ramp = Image.linear_gradient("L").rotate(90 if right else -90).resize((128, 128))
            ramp.convert("RGB").save(folder / f"{scene}.png")
            direction = [0.6 if right else -0.6, -0.6, 0.5]
            entry = {"file": f"{scene}.png", "light": {"kind": "sun", "direction": direction}}
            (folder / f"{scene:06d}.json").write_text(json.dumps([entry]))
    return folder


def run_clip(folder: Path, budget: Budget) -> None:
    clip.train_clip(folder, CLIP, budget, caption)


def run_names(folder: Path, budget: Budget) -> None:
    trigger_words.train_names(folder, NAMES, CLIP, budget, caption)


def run_vae(folder: Path, budget: Budget) -> None:
    vae.train_vae(folder, VAE, budget)
    if budget.stop_at_step is None:
        latents.encode_all(folder, VAE)


def run_unet(folder: Path, budget: Budget) -> None:
    unet.train_unet(folder, UNET, VAE, CLIP, budget, caption)


def run_segmenter(folder: Path, budget: Budget) -> None:
    segmenter.train_segmenter(folder, SEGMENTER, budget)


def make_shots(folder: Path, count: int) -> None:
    """Pools of boxes on grey: things, and what passes for cars."""
    rng = np.random.default_rng(0)
    shots = np.full((count, 256, 256, 4), 128, np.uint8)
    shots[..., 3] = 0
    for shot in shots:
        top, left = rng.integers(20, 120, 2)
        shot[top : top + 110, left : left + 100] = (*rng.integers(0, 90, 3), 255)
    folder.mkdir(exist_ok=True)
    for name in ("shots", "cars"):
        np.save(folder / f"{name}-000.npy", shots)


def run_shots(folder: Path, budget: Budget) -> None:
    make_shots(folder / "shots", SHOTS.shots)
    shot_segmenter.train_shot_segmenter(folder, SHOTS, budget)


def run_refiner(folder: Path, budget: Budget) -> None:
    """It begins with the segmenter of shots, and learns from the same shots."""
    make_shots(folder / "shots", REFINER.shots)
    mask_refiner.train_mask_refiner(folder, REFINER, budget)


def run_cars(folder: Path, budget: Budget) -> None:
    """It begins with what mends masks of anything."""
    make_shots(folder / "shots", REFINER.shots)
    mask_refiner.train_car_refiner(folder, REFINER, budget)


def make_families(folder: Path, count: int) -> None:
    """A pool of families: boxes of a family have one colour, each member a shape of its own."""
    rng = np.random.default_rng(0)
    families = np.full((count, 4, 4, 112, 112, 4), 128, np.uint8)
    families[..., 3] = 0
    for family in families:
        colour = rng.integers(0, 255, 3)
        for number, member in enumerate(family):
            for look in member:
                wide, dimmed = 86 - 20 * number, rng.uniform(0.7, 1)
                left, top = (112 - wide) // 2 + rng.integers(-3, 4), 13 + rng.integers(-3, 4)
                look[top : top + 86, left : left + wide] = (*(colour * dimmed), 255)
    folder.mkdir(parents=True, exist_ok=True)
    for chunk in range(-(-count // 25)):
        np.save(folder / f"families-{chunk:03}.npy", families[25 * chunk : 25 * (chunk + 1)])


def run_identity(folder: Path, budget: Budget) -> None:
    make_families(folder / "families", IDENTITY.families)
    identity.train_identity(folder, IDENTITY, budget)


def run_light(folder: Path, budget: Budget) -> None:
    light.train_light(folder, make_backgrounds(folder / "backgrounds"), LIGHT, budget)


RUNS: dict[str, Callable[[Path, Budget], None]] = {
    "clip": run_clip,
    "names": run_names,
    "vae": run_vae,
    "unet": run_unet,
    "segmenter": run_segmenter,
    "shot_segmenter": run_shots,
    "mask_refiner": run_refiner,
    "car_refiner": run_cars,
    "identity": run_identity,
    "light": run_light,
}
