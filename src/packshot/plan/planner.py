"""From photos, a machine and a time to a plan, each choice with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

from packshot.bases.base import Base
from packshot.class_images import class_images
from packshot.errors import BudgetTooSmall, MemoryTooSmall, PhotosRefused, PlanInvalid
from packshot.photos import photos
from packshot.plan.calibration import SHOT_FORWARDS, StepCost, calibrate
from packshot.plan.depends import depends_now
from packshot.plan.model import Plan, Predicted, write_plan
from packshot.plan.recipes import Recipe, recipe_for
from packshot.project import Project
from packshot.terms import Scope

SAMPLE_ROUNDS = 4
SAMPLES = 4
CLOSING_SECONDS = 3.0
"""Loading, writing the LoRA, reading it back."""


@dataclass(frozen=True)
class _Sized:
    """A picture size with what steps cost there and how many fit the time."""

    pixels: int
    cost: StepCost
    steps: int
    least_steps: int
    batch: int
    accumulation: int

    @property
    def step_seconds(self) -> float:
        return self.cost.seconds(self.batch, self.accumulation)

    def seconds(self, steps: int, pictures: int) -> float:
        samples = SAMPLE_ROUNDS * SAMPLES * SHOT_FORWARDS * self.cost.forward_seconds
        caching = pictures * self.cost.encode_seconds
        return CLOSING_SECONDS + caching + samples + steps * self.step_seconds


def make_plan(
    project: Project,
    base: Base,
    *,
    budget_seconds: float | None = None,
    targets: Scope | None = None,
    rank: int | None = None,
    class_image_share: float | None = None,
    text_encoder: bool = False,
    shots_after: int = 0,
) -> Plan:
    """Calibrate on this machine and write `plan.toml`: as much of the recipe as the time allows.

    `budget_seconds` is for training and for making `shots_after` pictures with its LoRA; with
    `text_encoder` that is on the text encoders, too, at the same rank.

    Where time is short, exposures give way first, down to the recipe's least; then the picture
    size. Where memory is, the batch is split, down to single pictures; then blocks are computed
    twice instead of kept (gradient checkpointing); then the size gives way. The
    prior's share is never dropped silently. Without a budget the whole recipe is planned.

    Raises:
        PhotosRefused: the project has no photos.
        BudgetTooSmall: the message names the least budget that makes sense.
        MemoryTooSmall: not even one picture at a time fits, at any size of the recipe.
        PlanInvalid: the recipe or an override is out of range, or the text encoders cannot be trained.
    """
    shown, prior = photos(project), class_images(project)
    if not shown:
        raise PhotosRefused(f"{project.root} has no photos yet. Add some: packshot photos FOLDER")
    if budget_seconds is not None and budget_seconds <= 0:
        raise PlanInvalid("The budget must be more than nothing; write it as 90s, 10m or 1h30m.")
    recipe = _with_overrides(recipe_for(base.family, base.path), targets, rank, class_image_share)
    share = recipe.class_image_share if prior else 0.0
    pictures = len(shown) * recipe.crops_per_photo + len(prior)
    text_rank = recipe.rank if text_encoder else 0
    chosen, reason = _choose_size(
        base, recipe, text_rank, share, len(shown), pictures, budget_seconds, shots_after
    )
    steps = chosen.steps
    seen = min(len(prior), math.floor(steps * recipe.batch * share))
    predicted = Predicted(
        seconds=round(chosen.seconds(steps, pictures), 1),
        bytes=chosen.cost.bytes(recipe.batch // chosen.accumulation),
        class_images_seen=seen,
        seconds_per_step=round(chosen.step_seconds, 4),
    )
    plan = Plan(
        steps=steps,
        batch=recipe.batch,
        accumulation=chosen.accumulation,
        pixels=chosen.pixels,
        targets=recipe.targets,
        rank=recipe.rank,
        alpha=recipe.rank,
        learning_rate=recipe.learning_rate,
        text_encoder_rank=text_rank,
        text_encoder_learning_rate=recipe.text_encoder_learning_rate,
        warmup_steps=min(20, steps // 10),
        class_image_share=share,
        class_loss_weight=recipe.class_loss_weight,
        min_snr_gamma=recipe.min_snr_gamma,
        caption_dropout=recipe.caption_dropout,
        crops_per_photo=recipe.crops_per_photo,
        gradient_checkpointing=chosen.cost.checkpointing,
        storage=base.storage,
        precision="bf16" if base.dtype.itemsize == 2 else "fp32",
        threads=chosen.cost.threads,
        sample_every=max(1, math.ceil(steps / SAMPLE_ROUNDS)),
        checkpoint_every=max(1, min(steps, round(30 / chosen.step_seconds))),
        seed=project.settings.seed,
        predicted=predicted,
        depends=depends_now(project, base),
    )
    write_plan(plan, project.plan_file, _reasons(plan, recipe, len(shown), len(prior), reason))
    return plan


def _with_overrides(
    recipe: Recipe, targets: Scope | None, rank: int | None, share: float | None
) -> Recipe:
    given = {"targets": targets, "rank": rank, "class_image_share": share}
    return Recipe.model_validate(
        recipe.model_dump() | {name: value for name, value in given.items() if value is not None}
    )


def _choose_size(
    base: Base,
    recipe: Recipe,
    text_rank: int,
    share: float,
    photos: int,
    pictures: int,
    budget: float | None,
    shots_after: int,
) -> tuple[_Sized, str]:
    """The largest picture size whose steps fit the memory, and enough of them the time; and why."""
    exposures = recipe.exposures_for(photos)
    full = math.ceil(exposures / (recipe.batch * (1 - share)))
    least = math.ceil(full * recipe.least_exposures_share)
    too_slow: list[_Sized] = []
    why = "the base's own size"
    for part in recipe.sizes:
        pixels = (
            max(1, round(base.native_pixels * part / base.pixel_multiple)) * base.pixel_multiple
        )
        measure = partial(
            calibrate,
            base,
            pixels=pixels,
            targets=recipe.targets,
            rank=recipe.rank,
            text_rank=text_rank,
            batch=recipe.batch,
        )
        cost = measure()
        if not cost.most_at_once:
            cost = measure(checkpointing=True)
        if not cost.most_at_once:
            why = "smaller than the base's own, to fit the memory"
            continue
        sized = _Sized(
            pixels, cost, full, least, recipe.batch, _parts(recipe.batch, cost.most_at_once)
        )
        if budget is None:
            return sized, why
        fixed = sized.seconds(0, pictures) + shots_after * SHOT_FORWARDS * cost.forward_seconds
        fit = math.floor((budget - fixed) / sized.step_seconds)
        if fit >= least:
            return replace(sized, steps=min(full, fit)), why
        too_slow.append(sized)
        why = "smaller than the base's own, to fit the time"
    if not too_slow:
        raise MemoryTooSmall(
            f"One picture of {pixels} px takes {cost.bytes(1) / 2**30:.1f} GiB at its peak, more than "
            "is free. Close other programs, or choose fewer layers: packshot plan --targets "
            "cross-attention"
        )
    needed = math.ceil(min(sized.seconds(least, pictures) for sized in too_slow))
    raise BudgetTooSmall(
        f"{budget:.0f} s of training are too few on this machine: the least that teaches anything "
        f"is about {needed} s ({least} steps). Give {needed} s or more (the whole recipe takes "
        f"about {too_slow[-1].seconds(full, pictures):.0f} s), or use a GPU."
    )


def _parts(batch: int, at_once: int) -> int:
    """The fewest equal parts of a batch of which each fits."""
    return next(
        parts for parts in range(1, batch + 1) if batch % parts == 0 and batch // parts <= at_once
    )


def _reasons(
    plan: Plan, recipe: Recipe, photos: int, class_images: int, size_reason: str
) -> dict[str, str]:
    exposures = round(plan.steps * plan.batch * (1 - plan.class_image_share))
    wanted = recipe.exposures_for(photos)
    extent = (
        "the whole recipe" if exposures >= wanted else f"the recipe's {wanted} do not fit the time"
    )
    prior = (
        f"{plan.predicted.class_images_seen} of {class_images} class images will be seen"
        if plan.class_image_share
        else "no class images: the class may drift towards the product"
    )
    return {
        "steps": f"{exposures} exposures of {photos} photos: {extent}",
        "batch": "pictures of one step, class images among them",
        "accumulation": "parts of a batch, one after the other, so that each fits the memory",
        "pixels": size_reason,
        "targets": "which layers learn: cross-attention, attention, attention+mlp, all",
        "rank": "room for detail; costs little time",
        "alpha": "equal to the rank: the LoRA's scale is 1",
        "learning_rate": "the recipe's",
        "text_encoder_rank": "of the LoRA on the text encoders (0: they stay as they are)",
        "text_encoder_learning_rate": "theirs, where they learn",
        "schedule": "cosine down to a tenth, or constant",
        "class_image_share": prior,
        "class_loss_weight": "how much the class counts against the product",
        "min_snr_gamma": "evens out the noise levels (0: off)",
        "caption_dropout": "share of photos seen without their caption",
        "crops_per_photo": "the whole picture and closer ones; never flipped: badges, dials",
        "mask_background_weight": "weight outside the product where a photo has a mask",
        "gradient_checkpointing": "compute blocks twice to save memory, where one picture would not fit",
        "storage": "how the frozen base lies in memory: plain, int8, nf4, offload",
        "precision": "what this machine computes fastest in",
        "threads": "CPU threads, the fastest when this was planned (0: as many as there are)",
        "sample_every": "steps between sample pictures (0: none)",
        "checkpoint_every": "steps between checkpoints: about half a minute",
        "seed": "same seed, same machine: same LoRA",
    }
