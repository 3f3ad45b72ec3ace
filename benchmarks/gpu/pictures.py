"""Parts of the benchmark that make pictures, and the whole path from photos to an insertion."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.gpu.bench import EXAMPLES, PHOTOS, SEED, Bench
from packshot import (
    GenerationSettings,
    InsertionSettings,
    Placement,
    add_photos,
    caption_photos,
    collect_class_images,
    create_project,
    generate_images,
    insert,
    load_background,
    load_base,
    load_captioner,
    load_lora,
    make_plan,
    mask_photos,
    train,
    write_report,
)
from packshot.insertion import Box
from packshot.plan.calibration import blank_latents
from packshot.plan.config import write_plan
from packshot.training import Step

Result = dict[str, Any]
BACKGROUND = EXAMPLES / "truth" / "torvane_ridge" / "00-mountain-day-front-three-quarter.jpg"


def pictures(bench: Bench, family: str) -> Result:
    """Seconds of encoding and decoding an image, and of a shot, alone and of four at once."""
    base = bench.base(family)
    side = bench.side(base)
    latents = blank_latents(base, side)
    pixels = torch.zeros(1, 3, side, side, device=base.device, dtype=base.dtype)
    found: Result = {
        "pixels": side,
        "steps": base.sampler.steps,
        "encode_seconds": bench.median_seconds(lambda: base.encode_images(pixels)),
        "decode_seconds": bench.median_seconds(lambda: base.decode_latents(latents)),
    }

    def shoot(count: int, name: str, steps: int | None = None) -> None:
        settings = GenerationSettings(
            seeds=tuple(range(count)), steps=steps, width=side, height=side
        )
        folder = bench.work / "pictures" / family / name
        list(generate_images(base, ["a photo of a car"], settings=settings, folder=folder))

    shoot(1, "warm-up", steps=2)
    found["shot_seconds"] = bench.seconds(lambda: shoot(1, "one"))
    if bench.seconds_left > 8 * found["shot_seconds"]:
        found["shot_seconds_of_four"] = bench.seconds(lambda: shoot(4, "four")) / 4
    return found


def whole_path(bench: Bench, family: str) -> Result:
    """Photos to insertion through the public functions, once, on a checkpoint that was written."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        bench.wait()
        started = time.perf_counter()
        yield
        bench.wait()
        seconds[name] = time.perf_counter() - started

    folder = bench.work / "whole"
    with timed("write the base"):
        bench.base(family).pipeline().save_pretrained(folder / "base")
    bench.drop()
    with timed("load the base"):
        base = load_base(folder / "base", device=str(bench.device), dtype=bench.dtype)
    project = create_project(
        folder / "project", name="Torvane Ridge", class_noun="suv", base=str(folder / "base")
    )
    with timed("photos"):
        photos = add_photos(project, PHOTOS).photos
    with timed("captions"):
        caption_photos(project, captioner=load_captioner("plain"))
    with timed("masks"):
        masked = [photo for photo in mask_photos(project).photos if photo.mask]
    with timed("class images"):
        class_images = collect_class_images(project, base, count=4)
    with timed("plan"):
        plan = make_plan(project, base)
    few = {"steps": 8, "lr_warmup_steps": 0, "sample_every_n_steps": 0, "save_every_n_steps": 4}
    write_plan(plan.model_copy(update=few), project.plan_file)
    with timed("training"):
        losses = [event.loss for event in train(project, base) if isinstance(event, Step)]
    with timed("LoRA"):
        lora = load_lora(project.lora_file, base)
    few_steps = GenerationSettings(seeds=(SEED,), steps=4)
    with timed("shots"):
        shots = list(
            generate_images(
                base, ["a photo of {subject} on a beach"], loras=[(lora, 1.0)], settings=few_steps,
                folder=project.shots_folder, subject=project.subject,
            )
        )  # fmt: skip
    with timed("insertion"):
        background = load_background(BACKGROUND)
        inserted = insert(
            project, background, Placement(Box(80, 110, 110, 80)), project.insertions_folder,
            base=base, loras=[(lora, 1.0)],
            settings=InsertionSettings(refine=0.3, tries=1, steps=8),
        )  # fmt: skip
    with timed("report"):
        report = write_report(project)
    lora_files = [project.lora_file, project.diffusers_lora_file]
    return {
        "seconds": seconds,
        "photos": len(photos),
        "masks": len(masked),
        "class_images": len(class_images),
        "planned_steps": plan.steps,
        "planned_seconds_per_step": plan.estimate.seconds_per_step,
        "planned_bytes": plan.estimate.bytes,
        "trained_steps": len(losses),
        "losses_are_finite": all(map(math.isfinite, losses)),
        "lora_file_bytes": [file.stat().st_size for file in lora_files],
        "shots": sum(shot.file.is_file() for shot in shots),
        "insertion": inserted.file.is_file(),
        "report": report.is_file(),
    }
