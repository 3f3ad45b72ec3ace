"""What of a base fits the GPU while it learns, and loading it so."""

from __future__ import annotations

import re
import time

import torch

from packshot.bases import Base, best_device, best_dtype, find_checkpoint, load_base
from packshot.bases.checkpoint import CONFIGS, Checkpoint
from packshot.bases.sketch import shipped
from packshot.errors import PlanInvalid
from packshot.memory import free_on
from packshot.plan.demand import demand_of
from packshot.plan.model import read_plan
from packshot.plan.recipes import recipe_for
from packshot.progress import Progress, silent
from packshot.project import Project
from packshot.terms import Scope, Storage

SURELY = 0.25
"""Weights of less than this share of the GPU's memory fit whatever is done with them."""

EFFICIENCY = 0.4
"""The share of a matrix product's speed that a whole step reaches."""


def load_for(project: Project, other: str | None = None, progress: Progress = silent) -> Base:
    """Load the project's base, or another in its place, stored as its settings say.

    "auto" is as its plan has it; before there is a plan, the least harmful way of which a step fits.

    Raises:
        CheckpointRefused, DiskFull: as `load_base`.
    """
    name = other or project.settings.base
    wanted = project.settings.storage
    if wanted != "auto":
        return load_base(name, storage=wanted, progress=progress)
    if not other and project.plan_file.is_file():
        return load_base(name, storage=read_plan(project.plan_file).storage, progress=progress)
    device = torch.device(best_device())
    checkpoint = find_checkpoint(name, half=best_dtype(device).itemsize == 2, progress=progress)
    return load_base(name, storage=fitting(checkpoint, device), progress=progress)


def fitting(checkpoint: Checkpoint, device: torch.device) -> Storage:
    """How to store a base so that a step at its own size fits the free memory of a GPU.

    Plain in main memory: fewer bits only make a CPU slower.
    """
    if device.type != "cuda":
        return "plain"
    free = free_on(device)
    files = {file for files in checkpoint.weights.values() for file in files}
    if sum(file.stat().st_size for file in files) < SURELY * free:
        return "plain"
    recipe = recipe_for(checkpoint.family, checkpoint.path)
    way = demand_of(checkpoint, targets=recipe.targets, rank=recipe.rank).first_within(free)
    return way.storage if way else "offload"


def outlook(
    name: str,
    memory: str | None = None,
    pixels: int | None = None,
    targets: Scope | None = None,
    rank: int | None = None,
    progress: Progress = silent,
    text_encoder: bool = False,
) -> str:
    """What each way of training on a checkpoint takes, and which is the first that fits, in words.

    Args:
        name: as `load_base` takes it, or a family's, such as "sdxl", whose usual size is then meant.
        memory: of a GPU, as "16GB"; by default what is free here.
        pixels, targets, rank: by default the base's own size and the recipe's.
        text_encoder: whether the text encoders learn too.

    Raises:
        PlanInvalid: `memory` is no size, or the text encoders are not trained here.
        CheckpointRefused, DiskFull: as `load_base`.
    """
    device = torch.device(best_device())
    free = to_bytes(memory) if memory else free_on(device)
    known = (CONFIGS / name).is_dir()
    checkpoint = shipped(name) if known else find_checkpoint(name, half=True, progress=progress)
    recipe = recipe_for(checkpoint.family, checkpoint.path)
    targets, rank = targets or recipe.targets, rank or recipe.rank
    demand = demand_of(
        checkpoint, targets=targets, rank=rank, pixels=pixels, text_encoder=text_encoder
    )
    first = demand.first_within(free)
    speed = EFFICIENCY * operations_per_second(device)
    lines = [
        f"{checkpoint.name}, {demand.parameters / 1e9:.1f} billion parameters: a LoRA of rank {rank} on "
        f"{targets}, from pictures of {demand.pixels} px, one at a time"
    ]
    for way in demand.ways:
        fits = f"  <- the first that fits {free / 1e9:.0f} GB" if way is first else ""
        seconds = way.flops / speed
        lines.append(f"  {way!s:22}{way.bytes / 1e9:6.1f} GB {seconds:8.2g} s a picture{fits}")
    if first is None:
        lines.append(f"None fits {free / 1e9:.0f} GB: choose smaller pictures (--pixels).")
    away = "The autoencoder leaves" if text_encoder else "Autoencoder and text encoders leave"
    lines.append(
        f"{away} before it learns, {demand.encoder_bytes / 1e9:.1f} GB. "
        "Seconds are a rough guess for this machine; packshot plan measures them."
    )
    return "\n".join(lines)


def to_bytes(text: str) -> int:
    """Bytes of "16GB", "16 GiB" or "800MB".

    Raises:
        PlanInvalid: it is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG])(i?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise PlanInvalid(f"'{text}' is no size of memory; write it as 16GB.")
    unit = {"m": 2, "g": 3}[found[2].lower()]
    return int(float(found[1]) * (1024 if found[3] else 1000) ** unit)


def operations_per_second(device: torch.device) -> float:
    """How fast matrices are multiplied here, in the dtype that bases compute in."""
    side = 4096 if device.type == "cuda" else 1024
    matrix = torch.ones(side, side, device=device, dtype=best_dtype(device))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        product = matrix @ matrix
        product[0, 0].item()  # waits for the GPU
        times.append(time.perf_counter() - started)
    return float(2 * side**3 / min(times))
