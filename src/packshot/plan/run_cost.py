"""What a run costs at each of the recipe's resolutions: the time of so many steps, and the memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packshot.class_images import ClassImage
from packshot.decisions import Decisions
from packshot.errors import InsufficientMemoryError
from packshot.images.buckets import bucket, is_croppable
from packshot.lora import Lora
from packshot.models.device_memory import not_enough_for
from packshot.models.diffusion_model import DiffusionModel
from packshot.photos.photo_set import require_photos
from packshot.plan import evaluations
from packshot.plan.calibration import (
    StepCost,
    seconds_between_saves,
    shot_seconds,
    step_cost,
    threads_for,
)
from packshot.plan.evaluations import HELD_OUT, Evaluations, plan_evaluations
from packshot.plan.recipes import Recipe
from packshot.project import Project

SAMPLE_ROUNDS = 4
SAMPLES = 4
CLOSING_SECONDS = 1.0
"""Writing the LoRA and reading it back."""


@dataclass(frozen=True)
class Workload:
    """What a run has to do, at whichever resolution."""

    recipe: Recipe
    photos: int
    class_images: int
    share: float
    """Of class images among those of a step."""
    shapes: ImageShapes
    shot_seconds: float
    """To generate an image."""
    is_evaluated: bool
    """Whether the run is to end when it is done."""
    assistant: Sequence[tuple[Lora, float]] = ()
    """LoRAs beside the one that is learnt."""
    text_rank: int = 0
    """Of the LoRA on the text encoders; 0 if they do not learn."""
    processes: int = 1
    """That share the images of each step."""

    @property
    def full_steps(self) -> int:
        """Steps of the whole recipe."""
        exposures = self.recipe.exposures_for(self.photos)
        return math.ceil(exposures / (self.recipe.effective_batch_size * (1 - self.share)))

    @property
    def least_steps(self) -> int:
        """Steps below which the recipe gives no useful LoRA."""
        return math.ceil(self.full_steps * self.recipe.least_exposures_share)

    def class_slots(self, steps: int) -> int:
        """How often a class image is seen in so many steps."""
        return math.floor(steps * self.recipe.effective_batch_size * self.share)


@dataclass(frozen=True)
class ImageShapes:
    """The (width, height) of all training images, from which batches are drawn."""

    photos: Sequence[tuple[int, int]]
    class_images: Sequence[tuple[int, int]]

    def count(self, base: DiffusionModel, pixels: int) -> int:
        """The number of buckets among the images."""
        sizes = (*self.photos, *self.class_images)
        return len({bucket(*size, pixels, base.pixel_multiple) for size in sizes})

    def launches(self, base: DiffusionModel, pixels: int, part: int, share: float) -> float:
        """The average number of sizes among the images of one micro-batch.

        Args:
            part: the images of a micro-batch.
            share: of class images among them.
        """
        in_class = round(part * share)
        in_photos = part - in_class
        photos = self.buckets(base, pixels)
        # A class image has its own size where it is cropped to that of no photo beside it.
        apart: dict[tuple[int, int], float] = {}
        for size, times in Counter(self.class_images).items():
            others = sum(photos[shape] for shape in photos if not is_croppable(*size, shape))
            chance = (others / photos.total()) ** in_photos * times / len(self.class_images)
            own = bucket(*size, pixels, base.pixel_multiple)
            apart[own] = apart.get(own, 0.0) + chance
        chances = [(times / photos.total(), in_photos) for times in photos.values()]
        chances += [(chance, in_class) for chance in apart.values()]
        return max(1.0, sum(1 - (1 - chance) ** count for chance, count in chances))

    def buckets(self, base: DiffusionModel, pixels: int) -> Counter[tuple[int, int]]:
        """How many photos are used at each size."""
        return Counter(bucket(*size, pixels, base.pixel_multiple) for size in self.photos)


@dataclass(frozen=True)
class RunSize:
    """A resolution that a run may have, with the cost of a step."""

    work: Workload
    pixels: int
    cost: StepCost
    accumulation: int
    """Micro-batches of one step."""
    launches: float
    """Of one step."""
    class_crops: int
    """Sizes at which a class image may be encoded: the photos' of its step."""
    saved_after: float
    """Seconds of training between saved states."""
    why: str

    @property
    def images_at_once(self) -> int:
        """Images of a micro-batch."""
        return self.work.recipe.effective_batch_size // self.accumulation

    @property
    def bytes(self) -> int:
        """Of memory, at the peak of a step."""
        return self.cost.bytes(self.images_at_once)

    @property
    def step_seconds(self) -> float:
        processes = self.work.processes
        largest_share = math.ceil(self.work.recipe.effective_batch_size / processes)
        return self.cost.seconds(largest_share, max(1.0, self.launches / processes))

    def seconds(self, steps: int, class_images: int | None = None) -> float:
        """The seconds of a run of so many steps: encoding, steps, samples, writing.

        Args:
            class_images: how many there will be; by default those that there are.
        """
        work = self.work
        known = work.class_images if class_images is None else class_images
        encoded = work.photos * work.recipe.crops_per_photo
        encoded += min(known * self.class_crops, work.class_slots(steps))
        encoded += HELD_OUT if work.is_evaluated else 0
        caching = encoded * self.cost.encode_seconds / work.processes
        samples = SAMPLE_ROUNDS * SAMPLES * work.shot_seconds
        evaluating = evaluations.TIME_SHARE if work.is_evaluated else 0.0
        training = steps * self.step_seconds * (1 + evaluating)
        return CLOSING_SECONDS + caching + samples + training

    def evaluations(self, steps: int) -> Evaluations:
        """Those of a run of so many steps; predicting takes about half the time of learning."""
        if not self.work.is_evaluated:
            return Evaluations(0)
        one = self.cost.seconds(HELD_OUT, HELD_OUT) / 2
        return plan_evaluations(steps, self.step_seconds, one)


def workload_of(
    project: Project,
    base: DiffusionModel,
    decisions: Decisions,
    recipe: Recipe,
    class_images: Sequence[ClassImage] | None,
    *,
    assistant: Sequence[tuple[Lora, float]] = (),
    text_rank: int = 0,
    processes: int = 1,
) -> Workload:
    """A run's workload; `class_images` None means that the base will generate them.

    Raises:
        NoUsablePhotosError: the project has no photos.
        InsufficientMemoryError: as `shot_seconds`.
    """
    photos = require_photos(project)
    threads_for(base, decisions)
    square = [(base.native_pixels, base.native_pixels)]
    others = square if class_images is None else [(one.width, one.height) for one in class_images]
    return Workload(
        recipe=recipe,
        photos=len(photos),
        class_images=len(class_images or []),
        share=recipe.class_image_ratio if others else 0.0,
        shapes=ImageShapes([(photo.width, photo.height) for photo in photos], others),
        shot_seconds=shot_seconds(base, decisions),
        is_evaluated=project.settings.early_stopping,
        assistant=assistant,
        text_rank=text_rank,
        processes=processes,
    )


def run_sizes(
    base: DiffusionModel, decisions: Decisions, work: Workload, *, anew: bool = False
) -> Iterator[RunSize]:
    """The recipe's resolutions that fit the memory, the largest first.

    Args:
        anew: measure again.

    Raises:
        InsufficientMemoryError: none fits.
    """
    batch, why, has_fit = work.recipe.effective_batch_size, "the base's own size", False
    for part in work.recipe.sizes:
        multiple = base.pixel_multiple
        pixels = max(1, round(base.native_pixels * part / multiple)) * multiple
        cost = _cost_in_memory(base, decisions, work, pixels, anew)
        if not cost.most_at_once:
            why = "smaller than the base's own, to fit the memory"
            continue
        has_fit = True
        parts = _accumulation(batch, cost.most_at_once)
        each = work.shapes.launches(base, pixels, batch // parts, work.share)
        crops = 1 if batch == 1 else len(work.shapes.buckets(base, pixels))
        saved_after = seconds_between_saves(decisions, cost.adapter_parameters)
        yield RunSize(work, pixels, cost, parts, parts * each, crops, saved_after, why)
        why = "smaller than the base's own, to fit the time"
    if not has_fit:
        raise _no_room(base, pixels, cost)


def _cost_in_memory(
    base: DiffusionModel, decisions: Decisions, work: Workload, pixels: int, anew: bool
) -> StepCost:
    """A step's cost at a resolution: with gradient checkpointing where it does not fit without."""
    for checkpointing in (False, True):
        cost = step_cost(
            base, decisions, pixels=pixels, targets=work.recipe.target_modules, rank=work.recipe.rank,
            batch=work.recipe.effective_batch_size, text_rank=work.text_rank,
            checkpointing=checkpointing, assistant=work.assistant, anew=anew,
        )  # fmt: skip
        if cost.most_at_once:
            break
    return cost


def _accumulation(batch: int, at_once: int) -> int:
    """The least gradient accumulation with which each micro-batch fits."""
    return next(
        parts for parts in range(1, batch + 1) if batch % parts == 0 and batch // parts <= at_once
    )


def _no_room(base: DiffusionModel, pixels: int, cost: StepCost) -> InsufficientMemoryError:
    if not cost.working_bytes_per_picture:
        return InsufficientMemoryError(not_enough_for(base, f"training on images of {pixels} px"))
    return InsufficientMemoryError(
        f"One image of {pixels} px takes {cost.bytes(1) / 2**30:.1f} GiB at its peak, more than "
        "is free. Close other programs, or choose fewer layers: packshot plan --target-modules "
        "cross-attention"
    )
