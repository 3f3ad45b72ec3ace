"""What all parts of the benchmark share: the device, the base at hand, photos, plans, the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.random_base import Size, random_base, write_configs
from packshot import add_photos, caption_photos, create_project, load_captioner
from packshot.models import best_device, best_dtype
from packshot.models.checkpoint import Checkpoint
from packshot.models.device_memory import release_unused
from packshot.models.diffusion_model import DiffusionModel
from packshot.photos.photo_set import list_photos
from packshot.plan.config import Estimate, Plan
from packshot.plan.inputs import current_inputs
from packshot.plan.recipes import recipe_for
from packshot.project import Project
from packshot.training.dataset import TrainingSet
from packshot.types import WeightStorage

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOS = EXAMPLES / "torvane_ridge"
SEED = 0
MANY = 1_000_000
"""Steps of a plan of which a few are taken."""


@dataclass
class Bench:
    """A run of the benchmark. `work` is a folder that is deleted at its end."""

    size: Size
    work: Path
    pixels: int | None = None
    """The side of the training images; None for each base's own."""
    device: torch.device = field(default_factory=lambda: torch.device(best_device()))
    ends: float = float("inf")
    """When the part at hand must have ended, on the clock of `time.monotonic`."""
    _base: DiffusionModel | None = None
    _project: Project | None = None

    @property
    def dtype(self) -> torch.dtype:
        return best_dtype(self.device) if self.size == "full" else torch.float32

    @property
    def seconds_left(self) -> float:
        """Of the part at hand."""
        return self.ends - time.monotonic()

    def checkpoint(self, family: str) -> Checkpoint:
        return write_configs(family, self.size, self.work / "configs" / family)

    def base(self, family: str, storage: WeightStorage = "full") -> DiffusionModel:
        """The family's base; the last one stays until another is asked for."""
        now = self._base
        if now is None or (now.family, now.weight_storage) != (family, storage):
            now = None
            self.drop()
            given = self.checkpoint(family), self.device, self.dtype, storage, SEED
            self._base = now = random_base(*given)
        return now

    def drop(self) -> None:
        """Give the base's memory back; for after an error, too, which may leave something in it."""
        self._base = None
        release_unused(self.device)

    def side(self, base: DiffusionModel) -> int:
        """The side of the training images."""
        return self.pixels or base.native_pixels

    @property
    def project(self) -> Project:
        """A project with captioned photos of the bundled example; no base is loaded by its name."""
        if self._project is None:
            root = self.work / "project"
            project = create_project(root, name="Torvane Ridge", class_noun="suv", base="random")
            add_photos(project, PHOTOS)
            caption_photos(project, captioner=load_captioner("plain"))
            self._project = project
        return self._project

    def plan(self, base: DiffusionModel, batch: int, **other: Any) -> Plan:
        """The recipe's numbers, but no weighting of losses, which the plain loop does not have."""
        recipe = recipe_for(base.family, base.path)
        numbers: dict[str, Any] = {
            "steps": MANY, "effective_batch_size": batch, "resolution": self.side(base),
            "target_modules": recipe.target_modules, "rank": recipe.rank, "alpha": recipe.rank,
            "learning_rate": recipe.learning_rate, "class_image_ratio": 0.0, "min_snr_gamma": 0.0,
            "caption_dropout_rate": 0.0, "weight_storage": base.weight_storage,
            "precision": "bf16" if base.dtype.itemsize == 2 else "fp32",
            "sample_every_n_steps": 0, "save_every_n_steps": MANY, "seed": SEED,
            "inputs": current_inputs(self.project, base),
            "estimate": Estimate(seconds=0, bytes=0, class_images_seen=0, seconds_per_step=0),
        }  # fmt: skip
        return Plan(**(numbers | other))

    def data(self, base: DiffusionModel, plan: Plan) -> TrainingSet:
        """The training set, its latents and prompts encoded."""
        project = self.project
        data = TrainingSet(base, plan, project.subject, list_photos(project), [])
        for _ in data.fill_caches():
            pass
        return data

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes until the device has done it."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def median_seconds(self, work: Callable[[], object], times: int = 3) -> float:
        """The median of a few times, after one that warms up."""
        work()
        return statistics.median(self.seconds(work) for _ in range(times))

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def forget_peak(self) -> None:
        """Begin to measure the peak of memory."""
        if self.device.type == "cuda":
            release_unused(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> dict[str, int | None]:
        """The most bytes since then, allocated and reserved; None on a CPU, where none is told."""
        if self.device.type != "cuda":
            return {"allocated_bytes": None, "reserved_bytes": None}
        return {
            "allocated_bytes": torch.cuda.max_memory_allocated(self.device),
            "reserved_bytes": torch.cuda.max_memory_reserved(self.device),
        }
