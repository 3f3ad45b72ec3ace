"""Likeness of LoRAs: products that the base was not trained on, identified among look-alikes."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from packshot.captions import caption_photos
from packshot.class_images import collect_class_images
from packshot.generation.generate import GenerationSettings, generate_images
from packshot.lora import load_lora
from packshot.models import DiffusionModel
from packshot.photos.photo_set import add_photos
from packshot.plan import Budget, make_plan, read_plan, write_plan
from packshot.project import create_project
from packshot.training import train
from packshot.utils.progress import Progress
from packshot_pocket.benchmarks.quality.base import pixels_of
from packshot_pocket.benchmarks.quality.classifier import Classifier
from packshot_pocket.benchmarks.quality.identifier import Identifier, found_alone, number_of
from packshot_pocket.scenes import spec
from packshot_pocket.scenes.captions import PLACES

CLASS_IMAGES = 48


@dataclass(frozen=True)
class Recipe:
    """The settings varied in a row of the table; None for the plan's."""

    name: str = "default"
    budget_seconds: float = 240.0
    class_share: float | None = None
    targets: Any = None
    rank: int | None = None
    photos: int = 12
    steps: int | None = None


@dataclass(frozen=True)
class Likeness:
    """One product's figures: shares of images, and seconds."""

    retrieved: float
    ceiling: float
    """As `retrieved`, of the product's own photos: more cannot be asked of this judge."""
    retrieved_without: float
    setting: float
    drifted: float
    """Of pictures of the class alone with the LoRA on: how many are taken for the product."""
    seconds: float


def retrieved(judge: Identifier, product: Path, paths: Sequence[Path]) -> float:
    """The share of images that are identified as the product rather than as a look-alike."""
    told = judge.identify(found_alone(pixels_of(paths)), number_of(product))
    return float(np.mean(told == 0))


def prompts_for(noun: str) -> list[tuple[str, str]]:
    """Prompts for `{subject}`, and the setting that each asks for."""
    cars = noun in ("suv", "sedan", "sports car", "hatchback", "pickup", "van")
    settings = spec.CAR_SETTINGS if cars else spec.SETTINGS
    return [(f"a photo of {{subject}} {PLACES[setting][0]}", setting) for setting in settings]


def likeness(
    base: DiffusionModel,
    judges: tuple[Classifier, Identifier],
    product: Path,
    noun: str,
    recipe: Recipe,
    work: Path,
    progress: Progress,
) -> Likeness:
    """Train a LoRA of one product and measure images of it."""
    project = create_project(work, name="product", class_noun=noun, base=str(base.path))
    source = work / "given"
    source.mkdir(exist_ok=True)
    chosen = sorted((product / "photos").glob("*-[0-9].png"))
    for path in random.Random(0).sample(chosen, min(recipe.photos, len(chosen))):
        shutil.copy(path, source)
    started = time.monotonic()
    add_photos(project, source)
    caption_photos(project, base, progress)
    collect_class_images(project, base, count=CLASS_IMAGES, progress=progress)
    make_plan(
        project, base, budget=Budget.of_training(recipe.budget_seconds) if recipe.budget_seconds else None,
        target_modules=recipe.targets, rank=recipe.rank, class_image_ratio=recipe.class_share,
    )  # fmt: skip
    if recipe.steps:
        plan = read_plan(project.plan_file)
        write_plan(plan.model_copy(update={"steps": recipe.steps}), project.plan_file)
    for event in train(project, base):
        progress("steps", getattr(event, "step", 0), 0)
    seconds = time.monotonic() - started
    lora = load_lora(project.lora_file, base)
    asked = prompts_for(noun)
    settings = GenerationSettings(seeds=(0, 1))

    def made(kind: str, prompts: list[str], on: bool) -> list[Path]:
        shots = generate_images(
            base, prompts, loras=[(lora, 1.0)] if on else [], settings=settings,
            folder=work / kind, subject=project.subject, progress=progress,
        )  # fmt: skip
        return [shot.file for shot in shots]

    words = [prompt for prompt, _ in asked]
    shown = made("with", words, True)
    others = made("others", [w.replace("{subject}", f"a {noun}") for w in words], True)
    told = judges[0].tell(pixels_of(shown))
    wanted = [setting for _, setting in asked for _ in settings.seeds]
    found = partial(retrieved, judges[1], product)
    return Likeness(
        retrieved=found(shown),
        ceiling=found(chosen),
        retrieved_without=found(made("without", words, False)),
        setting=float(np.mean([t["setting"] == w for t, w in zip(told, wanted, strict=True)])),
        drifted=found(others),
        seconds=seconds,
    )
