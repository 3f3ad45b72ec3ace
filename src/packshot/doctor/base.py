"""What a base needs, and how it would be trained here: told by its files, before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from packshot.doctor.machine import free_main_memory
from packshot.doctor.report import Finding, gigabytes, seconds_text
from packshot.models import best_device, find_checkpoint, registry
from packshot.models.checkpoint import Checkpoint
from packshot.models.fake import default_checkpoint
from packshot.models.precision import PRECISIONS, explain, takes_half_files
from packshot.plan.gpu_fit import EFFICIENCY, Place
from packshot.plan.load_base import choose_weight_storage
from packshot.plan.memory_estimate import MemoryEstimate, MemoryOption, estimate_memory
from packshot.plan.recipes import Recipe, recipe_for
from packshot.utils.progress import Progress, silent

USUAL_PHOTOS = 15
"""Of a usual product, for the time of a run."""


@dataclass(frozen=True)
class Choice:
    """A base, what it needs, and the way of training that is chosen for it on this device."""

    checkpoint: Checkpoint
    has_files: bool
    """Whether it is a checkpoint; a family's name alone cannot be loaded."""
    recipe: Recipe
    estimate: MemoryEstimate
    way: MemoryOption
    place: Place
    device: torch.device

    @property
    def fits(self) -> bool:
        """Whether the way's estimated memory is free."""
        return self.way.bytes <= self.place.free

    @property
    def step_seconds(self) -> float:
        """The least time of a training step on one picture, by its arithmetic."""
        return self.way.flops / (EFFICIENCY * (self.place.speed or 1e12))

    @property
    def pictures(self) -> int:
        """How many pictures a run on the usual number of photos goes through."""
        exposures = self.recipe.exposures_for(USUAL_PHOTOS)
        return round(exposures / (1 - self.recipe.class_image_ratio))


def choose(name: str, progress: Progress = silent) -> Choice:
    """Find a base and choose how it would be trained on this device; nothing of it is loaded.

    Raises:
        InvalidPlanError: its recipe.toml does not parse.
        ModelLoadError, DiskFullError: as `load_base`.
    """
    device, has_files = torch.device(best_device()), name not in registry.families()
    checkpoint = (
        find_checkpoint(name, half=takes_half_files(device), progress=progress)
        if has_files
        else default_checkpoint(name)
    )
    place = Place.here(checkpoint.family)
    recipe = recipe_for(checkpoint.family, checkpoint.path)
    estimate = estimate_memory(
        checkpoint, targets=recipe.target_modules, rank=recipe.rank, dtype=place.dtype,
        progress=progress,
    )  # fmt: skip
    way = _way(checkpoint, estimate, device, place.free)
    return Choice(checkpoint, has_files, recipe, estimate, way, place, device)


def _way(
    checkpoint: Checkpoint, estimate: MemoryEstimate, device: torch.device, free: float
) -> MemoryOption:
    """As loading chooses the storage, and planning the checkpointing; the smallest if none fits."""
    if checkpoint.weights or device.type != "cuda":
        storage = choose_weight_storage(checkpoint, device)
        ways = [way for way in estimate.ways if way.storage == storage]
    else:
        ways = list(estimate.ways)
    return next((way for way in ways if way.bytes <= free), ways[-1])


def base_findings(choice: Choice) -> Iterator[Finding]:
    """Kind and files of the base, what it needs, and the way that is chosen."""
    checkpoint, estimate = choice.checkpoint, choice.estimate
    title = registry.families()[checkpoint.family].title
    yield Finding("kind", f"{title}, {_parameters(estimate.parameters)}, {estimate.pixels} px")
    if choice.has_files:
        yield _files(checkpoint)
    dtype = choice.place.dtype
    why = explain(choice.device, checkpoint.family, dtype)
    yield Finding("computed in", f"{PRECISIONS[dtype]}: {why}")
    yield _needs(choice)
    yield _chosen(choice)
    if choice.way.storage in ("int8", "nf4") and find_spec("bitsandbytes") is None:
        text = f"{choice.way.storage} needs bitsandbytes, which is not installed"
        yield Finding("storage", text, "problem", "pip install 'packshot[quantised]'")
    if choice.step_seconds and choice.place.speed:
        seconds = choice.step_seconds
        text = f"at least {seconds_text(seconds)} a picture, by arithmetic"
        yield Finding("step, predicted", text, numbers={"seconds": seconds})


def _needs(choice: Choice) -> Finding:
    """Each way's memory; only a GPU's bases are stored in any other than full."""
    ways = [w for w in choice.estimate.ways if choice.device.type == "cuda" or w.storage == "full"]
    needs = "; ".join(f"{way} {gigabytes(way.bytes)}" for way in ways)
    encoders = f"text encoders and VAE {gigabytes(choice.estimate.encoder_bytes)} of main memory"
    numbers = {str(way): float(way.bytes) for way in ways}
    return Finding("needs", f"{needs}; beside it {encoders}", numbers=numbers)


def _parameters(count: int) -> str:
    return (
        f"{count / 1e9:.1f} billion parameters"
        if count >= 1e8
        else f"{count / 1e6:.1f} million parameters"
    )


def _files(checkpoint: Checkpoint) -> Finding:
    """The sizes of its weights' files, each file once."""
    sizes = {
        part: sum(file.stat().st_size for file in set(files))
        for part, files in checkpoint.weights.items()
    }
    whole = {file for files in checkpoint.weights.values() for file in files}
    total = float(sum(file.stat().st_size for file in whole))
    parts = ", ".join(f"{part} {gigabytes(size)}" for part, size in sizes.items() if part)
    told = f": {parts}" if checkpoint.layout == "folder" else ""
    text, numbers = f"{gigabytes(total)} in {len(whole)} files{told}", {"bytes": total}
    if total > free_main_memory()[0]:
        advice = "It may not be loaded: close other programs, or take a smaller base."
        return Finding("files", f"{text}; more than main memory has free", "note", advice, numbers)
    return Finding("files", text, numbers=numbers)


def _chosen(choice: Choice) -> Finding:
    way, free = choice.way, choice.place.free
    text = f"{way}: {gigabytes(way.bytes)} of {gigabytes(free)} free"
    numbers = {"bytes": float(way.bytes), "free_bytes": float(free)}
    if choice.fits:
        return Finding("chosen", text, numbers=numbers)
    smaller = (
        "the plan will take smaller pictures" if choice.has_files else "choose smaller pictures"
    )
    advice = (
        f"Close other programs, or {smaller} (packshot memory … --resolution), or another base."
    )
    mark = "note" if choice.has_files else "problem"
    return Finding("chosen", f"none fits; {text}", mark, advice, numbers)  # type: ignore[arg-type]
