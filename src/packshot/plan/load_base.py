"""Loading a base for training, with the weight storage that fits the GPU."""

from __future__ import annotations

from functools import partial

import torch

from packshot.decisions import Decisions, Value
from packshot.errors import InsufficientMemoryError
from packshot.models import DiffusionModel, best_device, best_dtype, find_checkpoint, load_base
from packshot.models.checkpoint import Checkpoint
from packshot.models.device_memory import attempt, device_name, free_on, release_unused
from packshot.models.precision import PRECISIONS, explain, takes_half_files
from packshot.plan.calibration import step_fits
from packshot.plan.config import read_plan_if_valid
from packshot.plan.memory_estimate import estimate_memory
from packshot.plan.recipes import recipe_for
from packshot.project import Project
from packshot.types import WeightStorage
from packshot.utils.progress import Progress, silent
from packshot.weights.consent import require_consent

_SMALLER: dict[WeightStorage, WeightStorage] = {"full": "int8", "int8": "nf4", "nf4": "offload"}
SURELY_FITS = 0.25
"""Weights of less than this share of the GPU's memory always fit; no estimate is needed."""


def load_project_base(
    project: Project,
    other: str | None = None,
    progress: Progress = silent,
    decisions: Decisions | None = None,
) -> DiffusionModel:
    """Load the project's base, or another one, with the weight storage of the project's settings.

    "auto" is the least costly option with which a training step fits, as decisions.toml has it. On a
    GPU that is tried, once: where memory gives out all the same, the next smaller one is taken.

    Raises:
        ModelLoadError, DiskFullError: as `load_base`.
        UnaskedFetchError: see `require_consent`.
    """
    if not other:
        require_consent(project, "base")
    name, wanted = other or project.settings.base, project.settings.weight_storage
    decisions = decisions or Decisions(project)
    device = torch.device(best_device())
    because = {"base": name, "device": device_name(device)}
    # In a project from before there were decisions; else the plan may be of another base.
    # One that makes no sense is told where it is carried out, not here.
    undecided = decisions.latest("storage") is None and not other
    planned = read_plan_if_valid(project.plan_file) if undecided else None

    def checkpoint(dtype: torch.dtype | None = None) -> Checkpoint:
        half = takes_half_files(device, dtype)
        return find_checkpoint(name, half=half, progress=progress)

    def precise() -> tuple[Value, str]:
        if planned:
            return planned.precision, "as in plan.toml"
        family = checkpoint().family
        fastest = best_dtype(device, family)
        return PRECISIONS[fastest], explain(device, family, fastest)

    precision = decisions.settle("precision", because, precise).value
    dtype = next(dtype for dtype, called in PRECISIONS.items() if called == precision)
    if wanted != "auto":
        storage, is_tried = wanted, True
    else:

        def choose() -> tuple[Value, str]:
            if planned:
                return planned.weight_storage, "as in plan.toml"
            storage = choose_weight_storage(checkpoint(dtype), device, progress)
            return storage, "the first option with which a training step fits"

        settled = decisions.settle("storage", because, choose)
        # Not for another base than the project's: with that pictures are made, and nothing is learnt.
        is_tried = not settled.is_new or device.type != "cuda" or other is not None
        storage = settled.value
    while True:
        load = partial(load_base, name, dtype=dtype, storage=storage, progress=progress)
        base = attempt(device, load)
        if base and (is_tried or step_fits(base)):
            return base
        smaller = _SMALLER.get(storage) if wanted == "auto" else None
        if smaller is None:
            if base:
                return base  # the plan takes smaller pictures, or says that none fits
            raise InsufficientMemoryError(
                f"The memory of {device_name(device)} does not hold {name} ({storage}). Close other "
                "programs, choose another --weight-storage, or a smaller base."
            )
        why = f"with {storage} memory gave out"
        base, storage, is_tried = None, smaller, False
        release_unused(device)
        decisions.settle("storage", because, partial(_taken, smaller, why), anew=True)


def _taken(value: WeightStorage, why: str) -> tuple[Value, str]:
    return value, why


def choose_weight_storage(
    checkpoint: Checkpoint, device: torch.device, progress: Progress = silent
) -> WeightStorage:
    """The weight storage with which a training step at the base's own size fits a GPU's free memory.

    "full" on a CPU: quantisation only makes it slower.
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
    option = estimate.first_that_fits(free) or min(estimate.ways, key=lambda way: way.bytes)
    return option.storage
