"""Loading a base for training, with the weight storage that fits the GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from packshot.decisions import Decisions, Scalar, Value
from packshot.errors import InsufficientMemoryError
from packshot.models import DiffusionModel, best_device, best_dtype, find_checkpoint, load_base
from packshot.models.checkpoint import Checkpoint
from packshot.models.device_memory import (
    SURELY_FITS,
    attempt,
    device_name,
    free_on,
    next_smaller,
    release_unused,
)
from packshot.models.fake import fake_model
from packshot.models.precision import PRECISIONS, explain, takes_half_files
from packshot.plan.calibration import step_fits
from packshot.plan.config import Plan, read_plan_if_valid
from packshot.plan.memory_estimate import MemoryEstimate, estimate_memory
from packshot.plan.recipes import recipe_for
from packshot.project import Project
from packshot.types import WeightStorage
from packshot.utils.progress import Progress, silent
from packshot.weights.consent import require_consent

_MULTIPLE = 64
"""Of pixels a side, which every family takes."""


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
        InsufficientMemoryError: it loads with no storage; or no step fits, see `refuse_hopeless`.
        ModelLoadError, DiskFullError: as `load_base`.
        UnaskedFetchError: see `require_consent`.
    """
    if not other:
        require_consent(project, "base")
    name, wanted = other or project.settings.base, project.settings.weight_storage
    decisions = decisions or Decisions(project)
    device = torch.device(best_device())
    because: dict[str, Scalar] = {"base": name, "device": device_name(device)}
    # In a project from before there were decisions; else the plan may be of another base.
    # One that makes no sense is told where it is carried out, not here.
    undecided = decisions.latest("storage") is None and not other
    planned = read_plan_if_valid(project.plan_file) if undecided else None

    def checkpoint(dtype: torch.dtype | None = None) -> Checkpoint:
        half = takes_half_files(device, dtype)
        return find_checkpoint(name, half=half, progress=progress)

    dtype = _settle_dtype(decisions, because, planned, checkpoint, device)
    # Not of another base than the project's: with that pictures are made, and nothing is learnt.
    trial = _Trial(name, dtype, device, other is None, partial(checkpoint, dtype), progress)
    if wanted == "auto":
        return _load_as_settled(decisions, because, planned, trial)
    if base := trial.load(wanted):
        return base
    raise _too_little(device, name, wanted)


def _settle_dtype(
    decisions: Decisions,
    because: Mapping[str, Scalar],
    planned: Plan | None,
    find: Callable[[], Checkpoint],
    device: torch.device,
) -> torch.dtype:
    """What the base computes in: as it is planned, or the fastest on this device."""

    def precise() -> tuple[Value, str]:
        if planned:
            return planned.precision, "as in plan.toml"
        family = find().family
        fastest = best_dtype(device, family)
        return PRECISIONS[fastest], explain(device, family, fastest)

    precision = decisions.settle("precision", because, precise).value
    return next(dtype for dtype, called in PRECISIONS.items() if called == precision)


def _load_as_settled(
    decisions: Decisions, because: Mapping[str, Scalar], planned: Plan | None, trial: _Trial
) -> DiffusionModel:
    """The base with the storage that was settled, or is now; where memory gives out, with a smaller one."""

    def choose() -> tuple[Value, str]:
        if planned:
            return planned.weight_storage, "as in plan.toml"
        found = trial.checkpoint()
        storage = choose_weight_storage(found, trial.device, trial.progress)
        if trial.learns:
            refuse_hopeless(found, trial.device, trial.progress)
        return trial.first_from(storage)

    # It is recorded when it was tried, so that a start that is killed before tries it again.
    storage: WeightStorage = decisions.settle("storage", because, choose).value
    if base := trial.base or trial.load(storage):
        return base

    def smaller() -> tuple[Value, str]:
        return trial.first_from(trial.after(storage), f"with {storage} memory gave out")

    decisions.settle("storage", because, smaller, anew=True)
    assert trial.base
    return trial.base


@dataclass
class _Trial:
    """Loading a base as it should be stored, or smaller where memory gives out.

    Attributes:
        base: the one that was loaded, if any was.
    """

    name: str
    dtype: torch.dtype
    device: torch.device
    learns: bool
    checkpoint: Callable[[], Checkpoint]
    progress: Progress
    base: DiffusionModel | None = None

    def load(self, storage: WeightStorage) -> DiffusionModel | None:
        """The base; None if memory gives out."""
        load = partial(
            load_base, self.name, dtype=self.dtype, storage=storage, progress=self.progress
        )
        return attempt(self.device, load)

    def first_from(self, storage: WeightStorage, because: str = "") -> tuple[Value, str]:
        """The first storage, from this one on, with which the base loads (and, if it `learns`, a
        training step fits), and why. The smallest needs only load: the plan takes smaller pictures,
        or says that none fits.

        Raises:
            InsufficientMemoryError: it loads with none.
        """
        is_sure = not self.learns or (self.device.type != "cuda" and not because)
        because = because or "the first option with which a training step fits"
        while True:
            self.base = self.load(storage)
            if self.base and (is_sure or step_fits(self.base)):
                return storage, because
            sizes = self.base.bytes_by_storage if self.base else self._sizes()
            smaller = next_smaller(sizes, storage)
            if smaller is None and self.base:
                return storage, because
            if smaller is None:
                raise _too_little(self.device, self.name, storage)
            because, is_sure = f"with {storage} memory gave out", not self.learns
            self.base, storage = None, smaller
            release_unused(self.device)

    def after(self, storage: WeightStorage) -> WeightStorage:
        """The next smaller storage.

        Raises:
            InsufficientMemoryError: there is none.
        """
        if smaller := next_smaller(self._sizes(), storage):
            return smaller
        raise _too_little(self.device, self.name, storage)

    def _sizes(self) -> dict[WeightStorage, int]:
        with fake_model(self.checkpoint(), self.dtype) as base:
            return dict(base.bytes_by_storage)


def _too_little(device: torch.device, name: str, storage: WeightStorage) -> InsufficientMemoryError:
    return InsufficientMemoryError(
        f"The memory of {device_name(device)} does not hold {name} ({storage}). Close other "
        "programs, choose another --weight-storage, or a smaller base."
    )


def choose_weight_storage(
    checkpoint: Checkpoint, device: torch.device, progress: Progress = silent
) -> WeightStorage:
    """The weight storage with which a training step at the base's own size fits a GPU's free memory.

    "full" on a CPU: quantisation only makes it slower.
    """
    if device.type != "cuda":
        return "full"
    free = free_on(device)
    if _surely_fits(checkpoint, free):
        return "full"
    estimate = _estimate(checkpoint, progress)
    return (estimate.first_that_fits(free) or estimate.smallest).storage


def refuse_hopeless(
    checkpoint: Checkpoint, device: torch.device, progress: Progress = silent
) -> None:
    """Say before anything is loaded that a GPU is too small to train a base on.

    That is: where neither a step at the recipe's smallest size nor the autoencoder at the base's own
    fits in the smallest way.

    Raises:
        InsufficientMemoryError: so it is.
    """
    if device.type != "cuda" or _surely_fits(checkpoint, free := free_on(device)):
        return
    native = _estimate(checkpoint, progress)
    if native.first_that_fits(free):
        return
    share = min(recipe_for(checkpoint.family, checkpoint.path).sizes)
    pixels = max(1, int(share * native.pixels) // _MULTIPLE) * _MULTIPLE
    least = _estimate(checkpoint, progress, pixels)
    way = least.smallest
    if way.needed > free:
        vae = ", for the VAE to make a picture" if way.vae_bytes > way.bytes else ""
        raise InsufficientMemoryError(
            f"The memory of {device_name(device)} ({free / 1e9:.1f} GB free) is not enough for training on "
            f"{checkpoint.path.name}: even {way.storage} on images of {least.pixels} px takes "
            f"{way.needed / 1e9:.1f} GB{vae}. Close other programs, or choose a smaller base; for pictures "
            'only, set weight_storage = "offload" in packshot.toml.'
        )


def _surely_fits(checkpoint: Checkpoint, free: int) -> bool:
    files = {file for files in checkpoint.weights.values() for file in files}
    return sum(file.stat().st_size for file in files) < SURELY_FITS * free


def _estimate(
    checkpoint: Checkpoint, progress: Progress, pixels: int | None = None
) -> MemoryEstimate:
    recipe = recipe_for(checkpoint.family, checkpoint.path)
    return estimate_memory(
        checkpoint,
        targets=recipe.target_modules,
        rank=recipe.rank,
        pixels=pixels,
        progress=progress,
    )
