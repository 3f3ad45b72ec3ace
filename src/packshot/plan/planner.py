"""From photos, a machine and a time to a plan, each choice with its reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from packshot.class_images import ClassImage, list_class_images
from packshot.decisions import Decisions
from packshot.errors import InsufficientMemoryError, InvalidPlanError, TimeBudgetError
from packshot.images.buckets import bucket
from packshot.models.diffusion_model import DiffusionModel
from packshot.photos.photo_set import require_photos
from packshot.plan.calibration import SHOTS_AT_ONCE, StepCost, shot_seconds, step_cost, threads_for
from packshot.plan.config import (
    Asked,
    Estimate,
    Plan,
    read_current_plan,
    read_plan_if_valid,
    write_plan,
)
from packshot.plan.inputs import current_inputs
from packshot.plan.recipes import Recipe, recipe_for
from packshot.project import Project
from packshot.types import TargetModules
from packshot.utils import files
from packshot.utils.durations import in_words

SAMPLE_ROUNDS = 4
SAMPLES = 4
CLOSING_SECONDS = 1.0
"""Writing the LoRA and reading it back."""
CLASS_IMAGES = 100
"""How many the base makes when no time limit asks for fewer."""
FEWEST_CLASS_IMAGES = 8
CLASS_IMAGES_TIME_SHARE = 0.1
_SPARE = 1.02


@dataclass(frozen=True)
class Budget:
    """The time for what is still to be done.

    `left` is asked after all measuring. It is for training, for making `shots_after` pictures with
    its LoRA, and for `seconds_after` of other work. `whole` is what the user gave.
    """

    whole: float
    left: Callable[[], float]
    shots_after: int = 0
    seconds_after: float = 0.0

    @classmethod
    def of_training(cls, seconds: float) -> Budget:
        """Time for the training alone."""
        return cls(seconds, lambda: seconds)

    @property
    def spent(self) -> float:
        return max(0.0, self.whole - self.left())


@dataclass(frozen=True)
class _Work:
    """What a run is to show, and what pictures cost."""

    recipe: Recipe
    photos: int
    class_images: int
    share: float
    shapes: _Shapes
    shot_seconds: float

    @property
    def full_steps(self) -> int:
        exposures = self.recipe.exposures_for(self.photos)
        return math.ceil(exposures / (self.recipe.effective_batch_size * (1 - self.share)))

    @property
    def least_steps(self) -> int:
        return math.ceil(self.full_steps * self.recipe.least_exposures_share)


@dataclass(frozen=True)
class _Shapes:
    """The widths and heights of what is shown, of which a step's batch holds a few."""

    photos: Sequence[tuple[int, int]]
    class_images: Sequence[tuple[int, int]]

    def launches(self, base: DiffusionModel, pixels: int, part: int, share: float) -> float:
        """How many buckets the pictures of one part of a batch fall into, on average."""
        in_class = round(part * share)
        left_out: dict[tuple[int, int], float] = {}
        for sizes, count in ((self.photos, part - in_class), (self.class_images, in_class)):
            found = Counter(bucket(*size, pixels, base.pixel_multiple) for size in sizes)
            for one, times in found.items():
                chance = (1 - times / len(sizes)) ** count
                left_out[one] = left_out.get(one, 1.0) * chance
        return max(1.0, sum(1 - chance for chance in left_out.values()))


@dataclass(frozen=True)
class _Sized:
    """A picture size with what steps cost there."""

    work: _Work
    pixels: int
    cost: StepCost
    accumulation: int
    launches: float
    """Of one step."""
    why: str

    @property
    def step_seconds(self) -> float:
        return self.cost.seconds(self.work.recipe.effective_batch_size, self.launches)

    def seconds(self, steps: int, class_images: int | None = None) -> float:
        """A run of so many steps: encoding, steps, samples, writing."""
        work = self.work
        known = work.class_images if class_images is None else class_images
        seen = min(known, math.floor(steps * work.recipe.effective_batch_size * work.share))
        caching = (work.photos * work.recipe.crops_per_photo + seen) * self.cost.encode_seconds
        samples = SAMPLE_ROUNDS * SAMPLES * work.shot_seconds
        return CLOSING_SECONDS + caching + samples + steps * self.step_seconds


def make_plan(
    project: Project,
    base: DiffusionModel,
    *,
    budget: Budget | None = None,
    target_modules: TargetModules | None = None,
    rank: int | None = None,
    class_image_ratio: float | None = None,
    train_text_encoder: bool = False,
    asked: Asked | None = None,
    measure_anew: bool = False,
    least_at_least: bool = False,
) -> Plan:
    """Calibrate on this machine and write `plan.toml`: as much of the recipe as the time allows.

    With `text_encoder` the text encoders learn, too, at the same rank.

    Where time is short, exposures give way first, down to the recipe's least; then the picture
    size. Where memory is, the batch is split, down to single pictures; then blocks are computed
    twice instead of kept (gradient checkpointing); then the size gives way. The
    prior's share is never dropped silently. Without a budget the whole recipe is planned.

    A plan that stands and that no run has carried out is kept as plan.before.toml.

    Args:
        asked: what a plan is remembered to be for; see `Plan.asked`.
        measure_anew: do not take what was measured before.
        least_at_least: plan the recipe's least where not even that fits the time.

    Raises:
        NoUsablePhotosError: the project has no photos.
        TimeBudgetError: the message names the least budget that makes sense.
        InsufficientMemoryError: not even one picture at a time fits, at any size of the recipe.
        InvalidPlanError: the recipe or an override is out of range, or the text encoders cannot be trained.
    """
    if budget is not None and budget.whole <= 0:
        raise InvalidPlanError(
            "The budget must be more than nothing; write it as 90s, 10m or 1h30m."
        )
    decisions = Decisions(project)
    recipe = _with_overrides(
        recipe_for(base.family, base.path), target_modules, rank, class_image_ratio
    )
    prior = list_class_images(project)
    work = _work(project, base, decisions, recipe, prior)
    text_rank = recipe.rank if train_text_encoder else 0
    sizes = _sizes(base, decisions, work, text_rank, measure_anew)
    chosen, steps = _chosen(sizes, budget, least_at_least)
    plan = Plan(
        steps=steps,
        effective_batch_size=recipe.effective_batch_size,
        gradient_accumulation_steps=chosen.accumulation,
        resolution=chosen.pixels,
        target_modules=recipe.target_modules,
        rank=recipe.rank,
        alpha=recipe.rank,
        learning_rate=recipe.learning_rate,
        text_encoder_rank=text_rank,
        text_encoder_learning_rate=recipe.text_encoder_learning_rate,
        lr_warmup_steps=min(20, steps // 10),
        class_image_ratio=work.share,
        prior_loss_weight=recipe.prior_loss_weight,
        min_snr_gamma=recipe.min_snr_gamma,
        caption_dropout_rate=recipe.caption_dropout_rate,
        crops_per_photo=recipe.crops_per_photo,
        gradient_checkpointing=chosen.cost.checkpointing,
        weight_storage=base.weight_storage,
        precision="bf16" if base.dtype.itemsize == 2 else "fp32",
        cpu_threads=threads_for(base, decisions),
        sample_every_n_steps=max(1, math.ceil(steps / SAMPLE_ROUNDS)),
        save_every_n_steps=max(1, min(steps, round(30 / chosen.step_seconds))),
        seed=project.settings.seed,
        estimate=Estimate(
            seconds=round(chosen.seconds(steps), 1),
            bytes=chosen.cost.bytes(recipe.effective_batch_size // chosen.accumulation),
            class_images_seen=min(
                len(prior), math.floor(steps * recipe.effective_batch_size * work.share)
            ),
            seconds_per_step=round(chosen.step_seconds, 4),
        ),
        inputs=current_inputs(project, base),
        asked=asked,
    )
    reasons = _reasons(plan, recipe, work.photos, len(prior), chosen.why)
    _keep_aside(project, plan)
    write_plan(plan, project.plan_file, reasons)
    return plan


def class_images_within(
    project: Project, base: DiffusionModel, budget: Budget, wanted: int | None = None
) -> int:
    """How many class images the base has time to make, a tenth of it, before any is made.

    Args:
        wanted: so many are to be made, however long it takes.

    Raises:
        TimeBudgetError: nothing can be learnt in what is left then; the message names the least
            budget that is enough for everything.
        NoUsablePhotosError, InsufficientMemoryError: as `make_plan`.
    """
    decisions = Decisions(project)
    work = _work(project, base, decisions, recipe_for(base.family, base.path), None)
    spent = budget.spent
    tried: list[_Sized] = []

    def needed(whole: float) -> float:
        count = wanted or _affordable(whole, work.shot_seconds)
        training = min(one.seconds(work.least_steps, count) for one in tried)
        pictures = (count + budget.shots_after) * work.shot_seconds
        return spent + training + pictures + budget.seconds_after

    for one in _sizes(base, decisions, work, 0, False):
        tried.append(one)
        if needed(budget.whole) <= budget.whole:
            return wanted or _affordable(budget.whole, work.shot_seconds)
    least = budget.whole
    # A little more than that: the next start's photos are looked through in another time.
    while (more := math.ceil(_SPARE * needed(least)) + 1) > least:
        least = more
    raise _too_small(budget.whole, least, tried)


def plan_that_holds(project: Project, base: DiffusionModel, asked: Asked) -> Plan | None:
    """The plan that was made for just this: plan.toml, edited or not, or that of a run, taken back.

    Raises:
        InvalidPlanError: plan.toml makes no sense; one of an earlier Packshot does not hold.
    """
    now = current_inputs(project, base)

    def holds(plan: Plan) -> bool:
        return plan.asked in (None, asked) and not plan.inputs.differences(now)

    if (stands := read_current_plan(project.plan_file)) and holds(stands):
        return stands
    for run in reversed(project.runs()):
        plan = read_plan_if_valid(run / "plan.toml")
        if plan and plan.asked == asked and holds(plan):
            _keep_aside(project, plan)
            files.write_bytes(project.plan_file, (run / "plan.toml").read_bytes())
            return plan
    return None


def _keep_aside(project: Project, plan: Plan) -> None:
    """Keep the plan that is about to be replaced, if it is in no run: a person may have edited it."""
    stands = project.plan_file
    if not stands.is_file():
        return
    data = stands.read_bytes()
    if before := read_plan_if_valid(stands):
        runs = [read_plan_if_valid(run / "plan.toml") for run in project.runs()]
        if before.fingerprint() in [one.fingerprint() for one in (*runs, plan) if one]:
            return
    files.write_bytes(stands.with_name("plan.before.toml"), data)


def _affordable(whole: float, shot_seconds: float) -> int:
    fit = int(CLASS_IMAGES_TIME_SHARE * whole / max(shot_seconds, 1e-9))
    fit -= fit % SHOTS_AT_ONCE
    return min(CLASS_IMAGES, max(FEWEST_CLASS_IMAGES, fit))


def _work(
    project: Project,
    base: DiffusionModel,
    decisions: Decisions,
    recipe: Recipe,
    prior: Sequence[ClassImage] | None,
) -> _Work:
    """What is to be learnt; without a list of class images, the base is about to make some."""
    shown = require_photos(project)
    threads_for(base, decisions)
    square = [(base.native_pixels, base.native_pixels)]
    others = square if prior is None else [(one.width, one.height) for one in prior]
    share = recipe.class_image_ratio if others else 0.0
    shapes = _Shapes([(photo.width, photo.height) for photo in shown], others)
    return _Work(recipe, len(shown), len(prior or []), share, shapes, shot_seconds(base, decisions))


def _sizes(
    base: DiffusionModel, decisions: Decisions, work: _Work, text_rank: int, anew: bool
) -> Iterator[_Sized]:
    """The recipe's picture sizes that fit the memory, the largest first.

    Raises:
        InsufficientMemoryError: none does.
    """
    recipe, why, found = work.recipe, "the base's own size", False
    for part in recipe.sizes:
        multiple = base.pixel_multiple
        pixels = max(1, round(base.native_pixels * part / multiple)) * multiple
        for checkpointing in (False, True):
            cost = step_cost(
                base, decisions, pixels=pixels, targets=recipe.target_modules, rank=recipe.rank,
                batch=recipe.effective_batch_size, text_rank=text_rank,
                checkpointing=checkpointing, anew=anew,
            )  # fmt: skip
            if cost.most_at_once:
                break
        else:
            why = "smaller than the base's own, to fit the memory"
            continue
        found = True
        parts = _parts(recipe.effective_batch_size, cost.most_at_once)
        each = work.shapes.launches(base, pixels, recipe.effective_batch_size // parts, work.share)
        yield _Sized(work, pixels, cost, parts, parts * each, why)
        why = "smaller than the base's own, to fit the time"
    if not found:
        raise InsufficientMemoryError(
            f"One picture of {pixels} px takes {cost.bytes(1) / 2**30:.1f} GiB at its peak, more than "
            "is free. Close other programs, or choose fewer layers: packshot plan --target-modules "
            "cross-attention"
        )


def _chosen(
    sizes: Iterator[_Sized], budget: Budget | None, least_at_least: bool
) -> tuple[_Sized, int]:
    """The largest size of which enough steps fit the time, and how many.

    Raises:
        TimeBudgetError: none, unless the least is to be planned then.
    """
    tried: list[_Sized] = []
    for one in sizes:
        full, least = one.work.full_steps, one.work.least_steps
        if budget is None:
            return one, full
        tried.append(one)
        left = budget.left() - budget.seconds_after - budget.shots_after * one.work.shot_seconds
        fit = min(full, math.floor((left - one.seconds(0)) / one.step_seconds))
        while fit >= least and one.seconds(fit) > left:  # more steps see more class images
            fit -= max(1, math.floor((one.seconds(fit) - left) / one.step_seconds))
        if fit >= least:
            return one, fit
    quickest = min(tried, key=lambda one: one.seconds(least))
    if budget is None or least_at_least:
        return replace(quickest, why="smaller than the base's own, to fit the time"), least
    more = math.ceil(budget.whole - left + quickest.seconds(least))
    raise _too_small(budget.whole, more, tried)


def _too_small(whole: float, least: float, tried: Sequence[_Sized]) -> TimeBudgetError:
    work = tried[0].work
    quickest = min(one.seconds(work.least_steps) for one in tried)
    full = least - quickest + tried[0].seconds(work.full_steps)
    return TimeBudgetError(
        f"{in_words(whole)} are too few on this machine: the least that teaches anything is "
        f"{work.least_steps} steps. Give {least:.0f}s or more (the whole recipe takes about "
        f"{in_words(full)}), or use a GPU. Was the machine busy just now? Delete decisions.toml, and it "
        "is measured anew."
    )


def _with_overrides(
    recipe: Recipe, targets: TargetModules | None, rank: int | None, share: float | None
) -> Recipe:
    given = {"target_modules": targets, "rank": rank, "class_image_ratio": share}
    return Recipe.model_validate(
        recipe.model_dump() | {name: value for name, value in given.items() if value is not None}
    )


def _parts(batch: int, at_once: int) -> int:
    """The fewest equal parts of a batch of which each fits."""
    return next(
        parts for parts in range(1, batch + 1) if batch % parts == 0 and batch // parts <= at_once
    )


def _reasons(
    plan: Plan, recipe: Recipe, photos: int, class_images: int, size_reason: str
) -> dict[str, str]:
    exposures = round(plan.steps * plan.effective_batch_size * (1 - plan.class_image_ratio))
    wanted = recipe.exposures_for(photos)
    extent = (
        "the whole recipe" if exposures >= wanted else f"the recipe's {wanted} do not fit the time"
    )
    prior = (
        f"{plan.estimate.class_images_seen} of {class_images} class images will be seen"
        if plan.class_image_ratio
        else "no class images: the class may drift towards the product"
    )
    return {
        "steps": f"{exposures} exposures of {photos} photos: {extent}",
        "effective_batch_size": "pictures of one step, class images among them",
        "gradient_accumulation_steps": "parts of a batch, one after the other, so that each fits the memory",
        "resolution": size_reason,
        "target_modules": "which layers learn: cross-attention, attention, attention+mlp, all",
        "rank": "room for detail; costs little time",
        "alpha": "equal to the rank: the LoRA's scale is 1",
        "learning_rate": "the recipe's",
        "text_encoder_rank": "of the LoRA on the text encoders (0: they stay as they are)",
        "text_encoder_learning_rate": "theirs, where they learn",
        "lr_scheduler": "cosine down to a tenth, or constant",
        "class_image_ratio": prior,
        "prior_loss_weight": "how much the class counts against the product",
        "min_snr_gamma": "evens out the noise levels (0: off)",
        "caption_dropout_rate": "share of photos seen without their caption",
        "crops_per_photo": "the whole picture and closer ones; never flipped: badges, dials",
        "unmasked_weight": "weight outside the product where a photo has a mask",
        "gradient_checkpointing": "compute blocks twice to save memory, where one picture would not fit",
        "weight_storage": "how the frozen base lies in memory: full, int8, nf4, offload",
        "precision": "what this machine computes fastest in",
        "cpu_threads": "CPU threads, the fastest when this was planned (0: as many as there are)",
        "sample_every_n_steps": "steps between sample pictures (0: none)",
        "save_every_n_steps": "steps between checkpoints: about half a minute",
        "seed": "same seed, same machine: same LoRA",
    }
