"""What of a base fits the GPU while it learns, and loading it so."""

from __future__ import annotations

import torch

from packshot.decisions import Decisions, Value
from packshot.models import DiffusionModel, best_device, best_dtype, find_checkpoint, load_base
from packshot.models.checkpoint import Checkpoint
from packshot.models.device_memory import device_name, free_on
from packshot.plan.config import read_plan_if_valid
from packshot.plan.memory_estimate import estimate_memory
from packshot.plan.recipes import recipe_for
from packshot.project import Project
from packshot.types import WeightStorage
from packshot.utils.progress import Progress, silent

_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16"}
SURELY_FITS = 0.25
"""Weights of less than this share of the GPU's memory fit whatever is done with them."""


def load_project_base(
    project: Project,
    other: str | None = None,
    progress: Progress = silent,
    decisions: Decisions | None = None,
) -> DiffusionModel:
    """Load the project's base, or another in its place, stored as its settings say.

    "auto" is the least harmful way of which a training step fits, as it was settled first.

    Raises:
        ModelLoadError, DiskFullError: as `load_base`.
    """
    name, wanted = other or project.settings.base, project.settings.weight_storage
    decisions = decisions or Decisions(project)
    device = torch.device(best_device())
    because = {"base": name, "device": device_name(device)}
    # In a project from before there were decisions; else the plan may be of another base.
    # One that makes no sense is told where it is carried out, not here.
    undecided = decisions.latest("storage") is None and not other
    planned = read_plan_if_valid(project.plan_file) if undecided else None
    fastest = planned.precision if planned else _PRECISIONS[best_dtype(device)]
    told = "what this device computes fastest in"
    precision = decisions.settle("precision", because, lambda: (fastest, told)).value
    if wanted != "auto":
        storage = wanted
    else:

        def choose() -> tuple[Value, str]:
            if planned:
                return planned.weight_storage, "as in plan.toml"
            half = precision == "bf16"
            checkpoint = find_checkpoint(name, half=half, progress=progress)
            chosen = choose_weight_storage(checkpoint, device, progress)
            return chosen, "the first way of which a training step fits"

        storage = decisions.settle("storage", because, choose).value
    dtype = next(dtype for dtype, called in _PRECISIONS.items() if called == precision)
    return load_base(name, dtype=dtype, storage=storage, progress=progress)


def choose_weight_storage(
    checkpoint: Checkpoint, device: torch.device, progress: Progress = silent
) -> WeightStorage:
    """How to store a base so that a step at its own size fits the free memory of a GPU.

    Plain in main memory: fewer bits only make a CPU slower.
    """
    if device.type != "cuda":
        return "full"
    free = free_on(device)
    files = {file for files in checkpoint.weights.values() for file in files}
    if sum(file.stat().st_size for file in files) < SURELY_FITS * free:
        return "full"
    recipe = recipe_for(checkpoint.family, checkpoint.path)
    estimate = estimate_memory(
        checkpoint, targets=recipe.target_modules, rank=recipe.rank, progress=progress
    )
    way = estimate.first_that_fits(free)
    return way.storage if way else "offload"
