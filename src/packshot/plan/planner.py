"""Making a plan from the photos, this machine and a time budget, with a reason for each number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from packshot.captions.length import check_lengths
from packshot.class_images import ClassImage, list_class_images
from packshot.decisions import SPEEDS, Decisions
from packshot.errors import InsufficientMemoryError, InvalidPlanError, TimeBudgetError
from packshot.images.buckets import bucket, is_croppable
from packshot.lora import Lora
from packshot.models.device_memory import not_enough_for
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.precision import PRECISIONS
from packshot.photos.photo_set import require_photos
from packshot.plan import evaluations
from packshot.plan.assistant import load_assistant
from packshot.plan.calibration import (
    SHOTS_AT_ONCE,
    StepCost,
    seconds_between_saves,
    shot_seconds,
    step_cost,
    threads_for,
)
from packshot.plan.choices import BUDGETS, PlanChoice, PlanChoices
from packshot.plan.compile_gain import CompileGain, Work, choose_compile
from packshot.plan.config import (
    Asked,
    Estimate,
    Plan,
    write_plan,
)
from packshot.plan.cpu_threads import load_if_busy
from packshot.plan.evaluations import HELD_OUT, Evaluations, plan_evaluations
from packshot.plan.former_plans import keep_aside
from packshot.plan.inputs import current_inputs
from packshot.plan.recipes import Recipe, recipe_of
from packshot.project import Project
from packshot.types import TargetModules
from packshot.utils import files
from packshot.utils.durations import in_words

SAMPLE_ROUNDS = 4
SAMPLES = 4
CLOSING_SECONDS = 1.0
"""Writing the LoRA and reading it back."""
CLASS_IMAGES = 100
"""How many the base generates if the time budget allows."""
FEWEST_CLASS_IMAGES = 8
CLASS_IMAGES_TIME_SHARE = 0.1
_DISK_BYTES_PER_PARAMETER = 3 * 12 + (2 + SAMPLE_ROUNDS - 1) * 4
"""Of the LoRA: weights and AdamW's two moments in the two saved states and the one that is written; and
in fp32 the two files and those of the steps that samples show."""
_SPARE = 1.02


@dataclass(frozen=True)
class Budget:
    """The time budget, in seconds.

    `whole` is what the user gave. `left()` is called after all measuring; it must suffice for
    training, for generating `shots_after` images, and for `seconds_after` of other work.
    """

    whole: float
    left: Callable[[], float]
    shots_after: int = 0
    seconds_after: float = 0.0

    @classmethod
    def of_training(cls, seconds: float) -> Budget:
        """A budget for the training alone."""
        return cls(seconds, lambda: seconds)

    @property
    def spent(self) -> float:
        return max(0.0, self.whole - self.left())


@dataclass(frozen=True)
class _Work:
    """The amount of training data, and the seconds to generate an image."""

    recipe: Recipe
    photos: int
    class_images: int
    share: float
    shapes: _Shapes
    shot_seconds: float
    is_evaluated: bool = True
    """Whether the run is to end when it is done."""
    processes: int = 1
    """That share the images of each step."""

    @property
    def full_steps(self) -> int:
        exposures = self.recipe.exposures_for(self.photos)
        return math.ceil(exposures / (self.recipe.effective_batch_size * (1 - self.share)))

    @property
    def least_steps(self) -> int:
        return math.ceil(self.full_steps * self.recipe.least_exposures_share)


@dataclass(frozen=True)
class _Shapes:
    """The (width, height) of all training images, from which batches are drawn."""

    photos: Sequence[tuple[int, int]]
    class_images: Sequence[tuple[int, int]]

    def count(self, base: DiffusionModel, pixels: int) -> int:
        """The number of buckets among the images."""
        sizes = (*self.photos, *self.class_images)
        return len({bucket(*size, pixels, base.pixel_multiple) for size in sizes})

    def launches(self, base: DiffusionModel, pixels: int, part: int, share: float) -> float:
        """The average number of sizes among the images of one micro-batch."""
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
class _Sized:
    """A candidate resolution with the cost of a step."""

    work: _Work
    pixels: int
    cost: StepCost
    accumulation: int
    launches: float
    """Of one step."""
    class_crops: int
    """Sizes at which a class image may be encoded: the photos' of its step."""
    saved_after: float
    """Seconds of training between saved states."""
    why: str

    @property
    def step_seconds(self) -> float:
        processes = self.work.processes
        largest_share = math.ceil(self.work.recipe.effective_batch_size / processes)
        return self.cost.seconds(largest_share, max(1.0, self.launches / processes))

    def seconds(self, steps: int, class_images: int | None = None) -> float:
        """The seconds of a run of so many steps: encoding, steps, samples, writing."""
        work = self.work
        known = work.class_images if class_images is None else class_images
        slots = math.floor(steps * work.recipe.effective_batch_size * work.share)
        encoded = work.photos * work.recipe.crops_per_photo + min(known * self.class_crops, slots)
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
    processes: int = 1,
) -> Plan:
    """Calibrate on this machine and write `plan.toml`: as much of the recipe as the time allows.

    With `train_text_encoder` the text encoders are trained, too, at the same rank.

    If time is short, exposures are reduced first, down to the recipe's least; then the resolution.
    If memory is short, the batch is split (gradient accumulation), down to single images; then
    gradient checkpointing is used; then the resolution is reduced. The class image ratio is never
    reduced. Without a budget the whole recipe is planned.

    A previous plan that no run has used is kept as plan.before.toml.

    Args:
        asked: the request to record in the plan; see `Plan.asked`.
        measure_anew: measure again instead of reusing decisions.toml.
        least_at_least: plan the recipe's least if not even that fits the time.
        processes: that will train together, each on a device like this one; each step has at least so
            many images.

    Raises:
        NoUsablePhotosError: the project has no photos.
        CaptionError: the base does not read as far as the trigger in a caption.
        TimeBudgetError: the message names the least budget that makes sense.
        InsufficientMemoryError: not even one image at a time fits, at any resolution of the recipe.
        InvalidPlanError: the recipe or an override is out of range, or the text encoders cannot be trained.
        LoraError: the assistant is not there, does not fit the base, or its weights' storage.
    """
    if budget is not None and budget.whole <= 0:
        raise InvalidPlanError(
            "The budget must be more than nothing; write it as 90s, 10m or 1h30m."
        )
    check_lengths(require_photos(project), project.subject, base)
    decisions = Decisions(project)
    assistant = load_assistant(project, base)
    recipe = recipe_of(base, has_assistant=bool(assistant))
    recipe = _with_overrides(recipe, target_modules, rank, class_image_ratio)
    batch = max(recipe.effective_batch_size, processes)
    recipe = recipe.model_copy(update={"effective_batch_size": batch})
    prior = list_class_images(project)
    work = replace(_work(project, base, decisions, recipe, prior), processes=processes)
    text_rank = recipe.rank if train_text_encoder else 0
    sizes = _sizes(base, decisions, work, text_rank, measure_anew, assistant)
    chosen, steps = _chosen(sizes, budget, decisions, least_at_least)
    evaluated = chosen.evaluations(steps)
    compiling = CompileGain(False, "off beside an assistant, where it was not tried")
    if not assistant:
        compiling = _compiling(base, decisions, chosen, steps, text_rank, budget, measure_anew)
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
        torch_compile=compiling.is_on,
        weight_storage=base.weight_storage,
        precision=PRECISIONS[base.dtype],
        cpu_threads=threads_for(base, decisions),
        eval_every_n_steps=evaluated.every,
        early_stopping_window=evaluated.window,
        early_stopping_variance=evaluated.variance,
        sample_every_n_steps=max(1, math.ceil(steps / SAMPLE_ROUNDS)),
        save_every_n_steps=max(1, min(steps, math.ceil(chosen.saved_after / chosen.step_seconds))),
        seed=project.settings.seed,
        estimate=Estimate(
            seconds=round(chosen.seconds(steps) - compiling.seconds, 1),
            bytes=chosen.cost.bytes(recipe.effective_batch_size // chosen.accumulation),
            class_images_seen=min(
                len(prior), math.floor(steps * recipe.effective_batch_size * work.share)
            ),
            seconds_per_step=round(chosen.step_seconds - compiling.step_seconds, 4),
        ),
        inputs=current_inputs(project, base),
        asked=asked,
    )
    reasons = _reasons(plan, recipe, work.photos, len(prior), chosen.why)
    reasons["torch_compile"] = compiling.why
    if processes > 1:
        reasons["effective_batch_size"] += f"; at least one for each of {processes} processes"
    keep_aside(project, plan)
    write_plan(plan, project.plan_file, reasons)
    return plan


def compare_budgets(
    project: Project, base: DiffusionModel, *, measure_anew: bool = False
) -> PlanChoices:
    """Measure, and write what each time budget would buy (`plan.choices.json`); plan.toml stays.

    Args:
        measure_anew: measure again instead of reusing decisions.toml.

    Raises:
        NoUsablePhotosError, InsufficientMemoryError, LoraError, CaptionError: as `make_plan`.
    """
    check_lengths(require_photos(project), project.subject, base)
    decisions, assistant = Decisions(project), load_assistant(project, base)
    recipe, prior = recipe_of(base, has_assistant=bool(assistant)), list_class_images(project)
    work = _work(project, base, decisions, recipe, prior)
    sizes = list(_sizes(base, decisions, work, 0, measure_anew, assistant))

    def choice(seconds: int | None) -> PlanChoice:
        budget = None if seconds is None else Budget.of_training(seconds)
        size, steps = _chosen(iter(sizes), budget, decisions, False)
        batch = recipe.effective_batch_size
        return PlanChoice(
            budget=seconds,
            steps=steps,
            resolution=size.pixels,
            exposures=round(steps * batch * (1 - work.share)),
            share=min(1.0, steps / work.full_steps),
            seconds=round(size.seconds(steps), 1),
            bytes=size.cost.bytes(batch // size.accumulation),
            disk_bytes=size.cost.adapter_parameters * _DISK_BYTES_PER_PARAMETER,
        )

    whole = choice(None)
    least = min(size.seconds(work.least_steps) for size in sizes)
    shorter = [choice(seconds) for seconds in BUDGETS if least <= seconds < whole.seconds]
    compared = PlanChoices(
        base=project.settings.base, photos=work.photos, class_images=len(prior),
        choices=(*shorter, whole),
    )  # fmt: skip
    files.write_json(project.plan_choices_file, compared.model_dump())
    return compared


def _compiling(
    base: DiffusionModel,
    decisions: Decisions,
    chosen: _Sized,
    steps: int,
    text_rank: int,
    budget: Budget | None,
    anew: bool,
) -> CompileGain:
    """Whether the run's blocks are compiled; tried only where a time budget leaves time for it."""
    spare = math.inf
    if budget is not None:
        after = budget.seconds_after + budget.shots_after * chosen.work.shot_seconds
        spare = budget.left() - after - chosen.seconds(steps)
    recipe = chosen.work.recipe
    at_once = recipe.effective_batch_size // chosen.accumulation
    work = Work(
        pixels=chosen.pixels, targets=recipe.target_modules, rank=recipe.rank, at_once=at_once,
        accumulation=chosen.accumulation, checkpointing=chosen.cost.checkpointing,
        text_rank=text_rank, steps=steps, step_seconds=chosen.step_seconds,
        shapes=at_once * chosen.work.shapes.count(base, chosen.pixels),
    )  # fmt: skip
    return choose_compile(base, decisions, work, spare_seconds=spare, anew=anew)


def class_images_within(
    project: Project, base: DiffusionModel, budget: Budget, wanted: int | None = None
) -> int:
    """How many class images the base can generate in a tenth of the budget.

    Args:
        wanted: generate this many, however long it takes.

    Raises:
        TimeBudgetError: too little time is left for training; the message names the least
            budget that is enough for everything.
        NoUsablePhotosError, InsufficientMemoryError, LoraError: as `make_plan`.
    """
    decisions = Decisions(project)
    assistant = load_assistant(project, base)
    recipe = recipe_of(base, has_assistant=bool(assistant))
    work = _work(project, base, decisions, recipe, None)
    spent = budget.spent
    tried: list[_Sized] = []

    def needed(whole: float) -> float:
        count = wanted or _affordable(whole, work.shot_seconds)
        training = min(size.seconds(work.least_steps, count) for size in tried)
        images = (count + budget.shots_after) * work.shot_seconds
        return spent + training + images + budget.seconds_after

    for size in _sizes(base, decisions, work, 0, False, assistant):
        tried.append(size)
        if needed(budget.whole) <= budget.whole:
            return wanted or _affordable(budget.whole, work.shot_seconds)
    least = budget.whole
    # A little more than that: reading the photos takes another time at the next start.
    while (more := math.ceil(_SPARE * needed(least)) + 1) > least:
        least = more
    _refuse(budget.whole, least, tried, decisions)


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
    """The training data; `prior` None means that the base will generate the class images."""
    photos = require_photos(project)
    threads_for(base, decisions)
    square = [(base.native_pixels, base.native_pixels)]
    others = square if prior is None else [(image.width, image.height) for image in prior]
    share = recipe.class_image_ratio if others else 0.0
    shapes = _Shapes([(photo.width, photo.height) for photo in photos], others)
    return _Work(
        recipe, len(photos), len(prior or []), share, shapes, shot_seconds(base, decisions),
        project.settings.early_stopping,
    )  # fmt: skip


def _sizes(
    base: DiffusionModel,
    decisions: Decisions,
    work: _Work,
    text_rank: int,
    anew: bool,
    assistant: Sequence[tuple[Lora, float]],
) -> Iterator[_Sized]:
    """The recipe's resolutions that fit the memory, the largest first.

    Raises:
        InsufficientMemoryError: none fits.
    """
    recipe, why, has_fit = work.recipe, "the base's own size", False
    for part in recipe.sizes:
        multiple = base.pixel_multiple
        pixels = max(1, round(base.native_pixels * part / multiple)) * multiple
        for checkpointing in (False, True):
            cost = step_cost(
                base, decisions, pixels=pixels, targets=recipe.target_modules, rank=recipe.rank,
                batch=recipe.effective_batch_size, text_rank=text_rank,
                checkpointing=checkpointing, assistant=assistant, anew=anew,
            )  # fmt: skip
            if cost.most_at_once:
                break
        else:
            why = "smaller than the base's own, to fit the memory"
            continue
        has_fit = True
        parts = _parts(recipe.effective_batch_size, cost.most_at_once)
        part = recipe.effective_batch_size // parts
        each = work.shapes.launches(base, pixels, part, work.share)
        is_single = recipe.effective_batch_size == 1
        crops = 1 if is_single else len(work.shapes.buckets(base, pixels))
        saved_after = seconds_between_saves(decisions, cost.adapter_parameters)
        yield _Sized(work, pixels, cost, parts, parts * each, crops, saved_after, why)
        why = "smaller than the base's own, to fit the time"
    if not has_fit:
        if not cost.working_bytes_per_picture:
            raise InsufficientMemoryError(
                not_enough_for(base, f"training on images of {pixels} px")
            )
        raise InsufficientMemoryError(
            f"One image of {pixels} px takes {cost.bytes(1) / 2**30:.1f} GiB at its peak, more than "
            "is free. Close other programs, or choose fewer layers: packshot plan --target-modules "
            "cross-attention"
        )


def _chosen(
    sizes: Iterator[_Sized], budget: Budget | None, decisions: Decisions, least_at_least: bool
) -> tuple[_Sized, int]:
    """The largest resolution at which enough steps fit the time, and the number of steps.

    Raises:
        TimeBudgetError: none fits, and not `least_at_least`.
    """
    tried: list[_Sized] = []
    for size in sizes:
        full, least = size.work.full_steps, size.work.least_steps
        if budget is None:
            return size, full
        tried.append(size)
        left = budget.left() - budget.seconds_after - budget.shots_after * size.work.shot_seconds
        fit = min(full, math.floor((left - size.seconds(0)) / size.step_seconds))
        while fit >= least and size.seconds(fit) > left:  # more steps see more class images
            fit -= max(1, math.floor((size.seconds(fit) - left) / size.step_seconds))
        if fit >= least:
            return size, fit
    quickest = min(tried, key=lambda size: size.seconds(least))
    if budget is None or least_at_least:
        return replace(quickest, why="smaller than the base's own, to fit the time"), least
    more = math.ceil(budget.whole - left + quickest.seconds(least))
    _refuse(budget.whole, more, tried, decisions)


def _refuse(whole: float, least: float, tried: Sequence[_Sized], decisions: Decisions) -> NoReturn:
    """Refuse a budget, and keep no speed by which it is refused: it may be that of a busy machine.

    Args:
        whole, least: the budget, and what it should at least be; seconds.
    """
    decisions.forget(*SPEEDS)
    work = tried[0].work
    quickest = min(size.seconds(work.least_steps) for size in tried)
    full = least - quickest + tried[0].seconds(work.full_steps)
    again = "If the machine was busy just now, run the same command again"
    if load := load_if_busy():
        again = f"The machine seems busy ({load}). Run the same command again when it is free"
    raise TimeBudgetError(
        f"{in_words(whole)} are too few on this machine: the least useful training is "
        f"{work.least_steps} steps. Give {least:.0f}s or more (the whole recipe takes about "
        f"{in_words(full)}), or use a GPU. {again}: its speed is measured anew."
    )


def _with_overrides(
    recipe: Recipe, targets: TargetModules | None, rank: int | None, share: float | None
) -> Recipe:
    given = {"target_modules": targets, "rank": rank, "class_image_ratio": share}
    return Recipe.model_validate(
        recipe.model_dump() | {name: value for name, value in given.items() if value is not None}
    )


def _parts(batch: int, at_once: int) -> int:
    """The least gradient accumulation with which each micro-batch fits."""
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
        "effective_batch_size": "images of one step, class images included",
        "gradient_accumulation_steps": "micro-batches of one step, so that each fits the memory",
        "resolution": size_reason,
        "target_modules": "the layers with a LoRA: cross-attention, attention, attention+mlp, all",
        "rank": "of the LoRA: capacity for detail; costs little time",
        "alpha": "equal to the rank: the LoRA's scale is 1",
        "learning_rate": "the recipe's",
        "text_encoder_rank": "of the LoRA on the text encoders (0: they are not trained)",
        "text_encoder_learning_rate": "of the LoRA on the text encoders, if they are trained",
        "lr_scheduler": "cosine down to a tenth, or constant",
        "lr_warmup_steps": "a tenth of the steps, 20 at most",
        "weight_decay": "AdamW's usual one",
        "max_grad_norm": "gradients are clipped to this norm",
        "class_image_ratio": prior,
        "prior_loss_weight": "loss weight of class images; photos have 1",
        "min_snr_gamma": "min-SNR weighting of the noise levels (0: off)",
        "caption_dropout_rate": "share of photos seen without their caption",
        "crops_per_photo": "the whole image and closer crops; never flipped: badges, dials",
        "unmasked_weight": "loss weight outside the product where a photo has a mask",
        "gradient_checkpointing": "saves memory for about a third more time, where one image would not fit",
        "weight_storage": "precision or offload of the frozen base: full, int8, nf4, offload",
        "precision": "the one in which this machine computes this base fastest",
        "cpu_threads": "the fastest number of CPU threads when this was planned (0: all)",
        "eval_every_n_steps": "steps between evaluations, which take a twentieth of the time (0: none)",
        "early_stopping_window": "evaluations over which that loss must be still for training to be done",
        "early_stopping_variance": "still: their variance is less than this share of the whole's (0: never)",
        "sample_every_n_steps": "steps between sample images (0: none)",
        "save_every_n_steps": "steps between checkpoints: half a minute, more if saving takes over 2 % of it",
        "seed": "same seed, same machine: same LoRA",
    }
