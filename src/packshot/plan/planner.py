"""Making a plan from the photos, this machine and a time budget, with a reason for each number."""

from __future__ import annotations

import math

from packshot.captions.length import check_lengths
from packshot.class_images import list_class_images
from packshot.decisions import Decisions
from packshot.errors import InvalidPlanError
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.precision import PRECISIONS
from packshot.photos.photo_set import require_photos
from packshot.plan.assistant import load_assistant
from packshot.plan.budget_fit import Budget, fit_to_budget, measured_twice
from packshot.plan.calibration import threads_for
from packshot.plan.choices import BUDGETS, PlanChoice, PlanChoices
from packshot.plan.compile_gain import CompileCase, CompileGain, choose_compile
from packshot.plan.config import Asked, Estimate, Plan, write_plan
from packshot.plan.former_plans import keep_aside
from packshot.plan.inputs import current_inputs
from packshot.plan.reasons import reasons_for
from packshot.plan.recipes import Recipe, recipe_of
from packshot.plan.run_cost import SAMPLE_ROUNDS, RunSize, run_sizes, workload_of
from packshot.project import Project
from packshot.types import TargetModules
from packshot.utils import files
from packshot.utils.validation import validated

_DISK_BYTES_PER_PARAMETER = 3 * 12 + (2 + SAMPLE_ROUNDS - 1) * 4
"""Of the LoRA: weights and AdamW's two moments in the two saved states and the one that is written; and
in fp32 the two files and those of the steps that samples show."""


@measured_twice
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
    decisions, assistant = Decisions(project), load_assistant(project, base)
    recipe = recipe_of(base, has_assistant=bool(assistant))
    recipe = _with_overrides(recipe, target_modules, rank, class_image_ratio, processes)
    work = workload_of(
        project, base, decisions, recipe, list_class_images(project),
        assistant=assistant, text_rank=recipe.rank if train_text_encoder else 0, processes=processes,
    )  # fmt: skip
    sizes = run_sizes(base, decisions, work, anew=measure_anew)
    size, steps = fit_to_budget(sizes, budget, decisions, least_at_least=least_at_least)
    compiling = _compiling(base, decisions, size, steps, budget, measure_anew)
    plan = _plan_of(project, base, decisions, size, steps, compiling, asked)
    keep_aside(project, plan)
    write_plan(plan, project.plan_file, reasons_for(plan, size, compiling))
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
    work = workload_of(project, base, decisions, recipe, prior, assistant=assistant)
    sizes = list(run_sizes(base, decisions, work, anew=measure_anew))

    def choice(seconds: int | None) -> PlanChoice:
        budget = None if seconds is None else Budget.of_training(seconds)
        size, steps = fit_to_budget(sizes, budget, decisions)
        return PlanChoice(
            budget=seconds,
            steps=steps,
            resolution=size.pixels,
            exposures=round(steps * recipe.effective_batch_size * (1 - work.share)),
            share=min(1.0, steps / work.full_steps),
            seconds=round(size.seconds(steps), 1),
            bytes=size.bytes,
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


def _with_overrides(
    recipe: Recipe,
    targets: TargetModules | None,
    rank: int | None,
    share: float | None,
    processes: int,
) -> Recipe:
    given = {"target_modules": targets, "rank": rank, "class_image_ratio": share}
    values = recipe.model_dump() | {key: one for key, one in given.items() if one is not None}
    values["effective_batch_size"] = max(recipe.effective_batch_size, processes)
    return validated(Recipe, InvalidPlanError, **values)


def _compiling(
    base: DiffusionModel,
    decisions: Decisions,
    size: RunSize,
    steps: int,
    budget: Budget | None,
    anew: bool,
) -> CompileGain:
    """Whether the run's blocks are compiled; tried only where a time budget leaves time for it."""
    run = size.work
    if run.assistant:
        return CompileGain(False, "off beside an assistant, where it was not tried")
    spare = math.inf
    if budget is not None:
        spare = budget.left_for_training(run.shot_seconds) - size.seconds(steps)
    case = CompileCase(
        pixels=size.pixels, targets=run.recipe.target_modules, rank=run.recipe.rank,
        at_once=size.images_at_once, accumulation=size.accumulation, checkpointing=size.cost.checkpointing,
        text_rank=run.text_rank, steps=steps, step_seconds=size.step_seconds,
        shapes=size.images_at_once * run.shapes.count(base, size.pixels),
    )  # fmt: skip
    return choose_compile(base, decisions, case, spare_seconds=spare, anew=anew)


def _plan_of(
    project: Project,
    base: DiffusionModel,
    decisions: Decisions,
    size: RunSize,
    steps: int,
    compiling: CompileGain,
    asked: Asked | None,
) -> Plan:
    """Every number of a run of so many steps at a resolution."""
    work, recipe, evaluated = size.work, size.work.recipe, size.evaluations(steps)
    return Plan(
        steps=steps,
        effective_batch_size=recipe.effective_batch_size,
        gradient_accumulation_steps=size.accumulation,
        resolution=size.pixels,
        target_modules=recipe.target_modules,
        rank=recipe.rank,
        alpha=recipe.rank,
        learning_rate=recipe.learning_rate,
        text_encoder_rank=work.text_rank,
        text_encoder_learning_rate=recipe.text_encoder_learning_rate,
        lr_warmup_steps=min(20, steps // 10),
        class_image_ratio=work.share,
        prior_loss_weight=recipe.prior_loss_weight,
        min_snr_gamma=recipe.min_snr_gamma,
        caption_dropout_rate=recipe.caption_dropout_rate,
        crops_per_photo=recipe.crops_per_photo,
        gradient_checkpointing=size.cost.checkpointing,
        torch_compile=compiling.is_on,
        weight_storage=base.weight_storage,
        precision=PRECISIONS[base.dtype],
        cpu_threads=threads_for(base, decisions),
        eval_every_n_steps=evaluated.every,
        early_stopping_window=evaluated.window,
        early_stopping_variance=evaluated.variance,
        sample_every_n_steps=max(1, math.ceil(steps / SAMPLE_ROUNDS)),
        save_every_n_steps=max(1, min(steps, math.ceil(size.saved_after / size.step_seconds))),
        seed=project.settings.seed,
        estimate=Estimate(
            seconds=round(size.seconds(steps) - compiling.seconds, 1),
            bytes=size.bytes,
            class_images_seen=min(work.class_images, work.class_slots(steps)),
            seconds_per_step=round(size.step_seconds - compiling.step_seconds, 4),
        ),
        inputs=current_inputs(project, base),
        asked=asked,
    )
