"""Prompt fidelity of the base: what a separate classifier detects in images of 500 prompts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from packshot.generation.generate import GeneratedImage, GenerationSettings, generate_images
from packshot.models import DiffusionModel
from packshot.utils.progress import Progress
from packshot_pocket.benchmarks.quality.classifier import Classifier, accuracy
from packshot_pocket.pretrain.data import Pictures, Pixels
from packshot_pocket.scenes import spec
from packshot_pocket.scenes.captions import PLACES, TIMES

PIXELS = 128
_SAME_SEED = 10
Facts = dict[str, str]


def asked(count: int, seed: int = 1) -> list[tuple[str, Facts]]:
    """Prompts with their attributes: half of cars, half of things, drawn like the training scenes."""
    drawn = []
    for number in range(count):
        draw = list(spec.COLLECTIONS.values())[number % 2]
        scene = draw(number // 2, seed)
        facts = spec.attributes(scene, scene.cameras[0])
        time = "" if scene.setting not in spec.OUTDOORS else TIMES[facts["time"]][0]
        place = random.Random(number).choice(PLACES[facts["setting"]])
        article = "an" if facts["colour"][0] in "aeiou" else "a"
        words = f"a photo of {article} {facts['colour']} {facts['noun']} {place} {time}"
        drawn.append((words.strip(), facts))
    return drawn


def pixels_of(shots: Sequence[GeneratedImage] | Sequence[Path]) -> Pixels:
    """Images as uint8 [N, 128, 128, 3]."""
    files = [shot.file if isinstance(shot, GeneratedImage) else shot for shot in shots]
    size = (PIXELS, PIXELS)
    return np.stack([np.asarray(Image.open(f).convert("RGB").resize(size)) for f in files])


def kernel_distance(ours: Tensor, theirs: Tensor) -> float:
    """KID (arXiv 1801.01401): unbiased squared MMD of features [N, D], kernel (x.y / D + 1)^3."""
    ours, theirs = ours.double(), theirs.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        values, count = kernel(a, a), len(a)
        return (values.sum() - values.diagonal().sum()) / (count * (count - 1))

    return float(within(ours) + within(theirs) - 2 * kernel(ours, theirs).mean())


def uncurated(pictures: Pixels) -> Image.Image:
    """The first 64 images of uint8 [N, H, W, 3] in four rows, as they came."""
    few = pictures[:64]
    rows = [
        np.concatenate(list(row), axis=1) for row in np.array_split(few, max(1, len(few) // 16))
    ]
    return Image.fromarray(np.concatenate(rows))


def faithfulness(
    base: DiffusionModel,
    judge: Classifier,
    renders: Pictures,
    folder: Path,
    count: int,
    progress: Progress,
) -> dict[str, float]:
    """Accuracy per attribute over `count` prompts, and KID; beside `folder`, `base.webp` of the first 64."""
    wanted = asked(count)
    shots: list[GeneratedImage] = []
    for start in range(0, count, _SAME_SEED):  # other prompts, other noise
        prompts = [prompt for prompt, _ in wanted[start : start + _SAME_SEED]]
        settings = GenerationSettings(seeds=(start,), batch=8)
        shots += generate_images(base, prompts, settings=settings, folder=folder, progress=progress)
    pictures = pixels_of(shots)
    uncurated(pictures).save(folder.parent / "base.webp", quality=85)
    figures = accuracy(judge.tell(pictures), [facts for _, facts in wanted])
    with torch.no_grad():
        held_out = judge.describe(renders.pixels[renders.held_out])
        figures["KID"] = kernel_distance(judge.describe(pictures), held_out)
    return figures
