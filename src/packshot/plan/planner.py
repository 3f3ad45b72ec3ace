"""From photos, a machine and a time to a plan, each choice with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

from packshot.bases.base import Base
from packshot.class_images import class_images
from packshot.errors import BudgetTooSmall, PhotosRefused, PlanInvalid
from packshot.photos import photos
from packshot.plan.calibration import SHOT_FORWARDS, StepCost, calibrate
from packshot.plan.depends import depends_now
from packshot.plan.model import Plan, Predicted, Scope, write_plan
from packshot.plan.recipes import Recipe, recipe_for
from packshot.project import Project

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

    def seconds(self, steps: int, batch: int, pictures: int) -> float:
        samples = SAMPLE_ROUNDS * SAMPLES * SHOT_FORWARDS * self.cost.forward_seconds
        caching = pictures * self.cost.encode_seconds
        return CLOSING_SECONDS + caching + samples + steps * self.cost.seconds(batch)


def make_plan(
    project: Project,
    base: Base,
    *,
    budget_seconds: float | None = None,
    targets: Scope | None = None,
    rank: int | None = None,
    class_image_share: float | None = None,
    shots_after: int = 0,
) -> Plan:
    """Calibrate on this machine and write `plan.toml`: as much of the recipe as the time allows.

    `budget_seconds` is for training and for making `shots_after` pictures with its LoRA.

    Exposures give way first, down to the recipe's least; then the picture size. The prior's share
    is never dropped silently. Without a budget the whole recipe is planned.

    Raises:
        PhotosRefused: the project has no photos.
        BudgetTooSmall: the message names the least budget that makes sense.
        PlanInvalid: the recipe or an override is out of range.
    """
    shown, prior = photos(project), class_images(project)
    if not shown:
        raise PhotosRefused(f"{project.root} has no photos yet. Add some: packshot photos FOLDER")
    if budget_seconds is not None and budget_seconds <= 0:
        raise PlanInvalid("The budget must be more than nothing; write it as 90s, 10m or 1h30m.")
    recipe = _with_overrides(recipe_for(base.family, base.path), targets, rank, class_image_share)
    share = recipe.class_image_share if prior else 0.0
    pictures = len(shown) * recipe.crops_per_photo + len(prior)
    chosen, reason = _choose_size(
        base, recipe, share, len(shown), pictures, budget_seconds, shots_after
    )
    steps = chosen.steps
    seen = min(len(prior), math.floor(steps * recipe.batch * share))
    predicted = Predicted(
        seconds=round(chosen.seconds(steps, recipe.batch, pictures), 1),
        bytes=chosen.cost.bytes(recipe.batch),
        class_images_seen=seen,
        seconds_per_step=round(chosen.cost.seconds(recipe.batch), 4),
    )
    plan = Plan(
        steps=steps,
        batch=recipe.batch,
        pixels=chosen.pixels,
        targets=recipe.targets,
        rank=recipe.rank,
        alpha=recipe.rank,
        learning_rate=recipe.learning_rate,
        warmup_steps=min(20, steps // 10),
        class_image_share=share,
        class_loss_weight=recipe.class_loss_weight,
        min_snr_gamma=recipe.min_snr_gamma,
        caption_dropout=recipe.caption_dropout,
        crops_per_photo=recipe.crops_per_photo,
        precision="bf16" if base.dtype.itemsize == 2 else "fp32",
        sample_every=max(1, math.ceil(steps / SAMPLE_ROUNDS)),
        checkpoint_every=max(1, min(steps, round(30 / chosen.cost.seconds(recipe.batch)))),
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
    share: float,
    photos: int,
    pictures: int,
    budget: float | None,
    shots_after: int,
) -> tuple[_Sized, str]:
    """The largest picture size at which the time allows the least exposures, and why."""
    exposures = recipe.exposures_for(photos)
    full = math.ceil(exposures / (recipe.batch * (1 - share)))
    least = math.ceil(full * recipe.least_exposures_share)
    tried: list[_Sized] = []
    for part in recipe.sizes:
        pixels = (
            max(1, round(base.native_pixels * part / base.pixel_multiple)) * base.pixel_multiple
        )
        cost = calibrate(
            base, pixels=pixels, targets=recipe.targets, rank=recipe.rank, batch=recipe.batch
        )
        sized = _Sized(pixels, cost, full, least)
        if budget is None:
            return sized, "the base's own size; no time limit was given"
        fixed = sized.seconds(0, recipe.batch, pictures)
        fixed += shots_after * SHOT_FORWARDS * cost.forward_seconds
        fit = math.floor((budget - fixed) / cost.seconds(recipe.batch))
        if fit >= least:
            why = (
                "the base's own size"
                if not tried
                else "smaller than the base's own, to fit the time"
            )
            return _Sized(pixels, cost, min(full, fit), least), why
        tried.append(sized)
    needed = math.ceil(min(sized.seconds(least, recipe.batch, pictures) for sized in tried))
    raise BudgetTooSmall(
        f"{budget:.0f} s of training are too few on this machine: the least that teaches anything "
        f"is about {needed} s ({least} steps). Give {needed} s or more (the whole recipe takes "
        f"about {tried[-1].seconds(full, recipe.batch, pictures):.0f} s), or use a GPU."
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
        "accumulation": "raise it to split a batch that does not fit the memory",
        "pixels": size_reason,
        "targets": "which layers learn: cross-attention, attention, attention+mlp, all",
        "rank": "room for detail; costs little time",
        "alpha": "equal to the rank: the LoRA's scale is 1",
        "learning_rate": "the recipe's",
        "schedule": "cosine down to a tenth, or constant",
        "class_image_share": prior,
        "class_loss_weight": "how much the class counts against the product",
        "min_snr_gamma": "evens out the noise levels (0: off)",
        "caption_dropout": "share of photos seen without their caption",
        "crops_per_photo": "the whole picture and closer ones; never flipped: badges, dials",
        "mask_background_weight": "weight outside the product where a photo has a mask",
        "precision": "what this machine computes fastest in",
        "sample_every": "steps between sample pictures (0: none)",
        "checkpoint_every": "steps between checkpoints: about half a minute",
        "seed": "same seed, same machine: same LoRA",
    }
