"""What of a base fits the GPU while it learns, and loading it so."""

from __future__ import annotations

import torch

from packshot.bases import Base, best_device, best_dtype, find_checkpoint, load_base
from packshot.bases.checkpoint import Checkpoint
from packshot.memory import free_on
from packshot.plan.demand import demand_of
from packshot.plan.model import read_plan
from packshot.plan.recipes import recipe_for
from packshot.progress import Progress, silent
from packshot.project import Project
from packshot.terms import Storage

SURELY = 0.25
"""Weights of less than this share of the GPU's memory fit whatever is done with them."""


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
