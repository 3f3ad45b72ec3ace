"""Recipes: a family's training settings, before the machine and the time budget are known.

A checkpoint's folder may contain a `recipe.toml` that overrides its family's: a base that was
trained differently (a small one, for example) needs other learning rates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from packshot.errors import InvalidPlanError
from packshot.models import registry
from packshot.models.diffusion_model import DiffusionModel
from packshot.types import MAX_RANK, TargetModules
from packshot.utils import reading
from packshot.utils.validation import describe

RECIPE_FILE = "recipe.toml"


class Recipe(BaseModel):
    """Starting points for a run. An exposure is one photo of the product seen once.

    What a plan has a limit for, has the same one here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    learning_rate: float = Field(gt=0, le=1)
    text_encoder_learning_rate: float = Field(default=5e-5, gt=0, le=1)
    """If the text encoders are trained: half of the UNet's rate, as is usual with kohya's trainer."""
    rank: int = Field(ge=1, le=MAX_RANK)
    target_modules: TargetModules
    effective_batch_size: int = Field(ge=1, le=1024)
    class_image_ratio: float = Field(ge=0, le=0.9)
    prior_loss_weight: float = Field(ge=0, le=10)
    crops_per_photo: int = Field(ge=1, le=16)
    caption_dropout_rate: float = Field(ge=0, le=0.5)
    min_snr_gamma: float = Field(ge=0, le=1e6)
    exposures: dict[PositiveInt, Annotated[int, Field(ge=1, le=100_000)]] = Field(min_length=1)
    """Total exposures by number of photos; interpolated linearly."""
    least_exposures_share: float = Field(gt=0, le=1)
    """The least share of the exposures that gives a useful LoRA."""
    sizes: tuple[Annotated[float, Field(gt=0, le=2)], ...] = Field(
        default=(1.0, 0.75, 0.5), min_length=1
    )
    """Resolutions to choose from, as shares of the base's own."""

    def exposures_for(self, photos: int) -> int:
        """Exposures for a number of photos: linear between the table's rows, constant beyond."""
        rows = sorted(self.exposures.items())
        return round(float(np.interp(photos, [row[0] for row in rows], [row[1] for row in rows])))


# Rates, rank, exposures: chosen from what the trainers' own examples use for one subject, which is in
# docs/recipes.md. Products have fine graphics, hence the MLP too.
_USUAL = Recipe(
    learning_rate=1e-4,
    rank=16,
    target_modules="attention+mlp",
    effective_batch_size=2,
    class_image_ratio=0.5,
    prior_loss_weight=1.0,
    crops_per_photo=2,
    caption_dropout_rate=0.05,
    min_snr_gamma=5.0,
    exposures={5: 600, 15: 1200, 40: 2400},
    least_exposures_share=0.25,
)


_EXPOSURES_WITH_ASSISTANT = {5: 500, 15: 900, 40: 1200}
_RANK_WITH_ASSISTANT = 16


def few_step_recipe(recipe: Recipe) -> Recipe:
    """The recipe for a base that was distilled to few steps, beside an assistant: shorter, as the
    distillation wears off all the same, only slower (its makers' page); at most rank 16.
    """
    exposures = {
        photos: min(recipe.exposures_for(photos), most)
        for photos, most in _EXPOSURES_WITH_ASSISTANT.items()
    }
    rank = min(recipe.rank, _RANK_WITH_ASSISTANT)
    return recipe.model_copy(update={"exposures": exposures, "rank": rank})


def family_recipe(family: str) -> Recipe:
    """A family's recipe: the usual recipe with the overrides of its spec."""
    return Recipe.model_validate(_USUAL.model_dump() | dict(registry.families()[family].recipe))


def recipe_for(family: str, checkpoint: Path) -> Recipe:
    """The checkpoint's own recipe if it has one, else its family's.

    Raises:
        InvalidPlanError: the checkpoint's recipe.toml does not parse.
    """
    own = checkpoint / RECIPE_FILE
    if not own.is_file():
        return family_recipe(family)
    try:
        return Recipe.model_validate(family_recipe(family).model_dump() | reading.read_toml(own))
    except ValidationError as error:
        raise InvalidPlanError(f"{own}: {describe(error)}") from error


def recipe_of(base: DiffusionModel, *, has_assistant: bool) -> Recipe:
    """The base's recipe, shorter if it is distilled to few steps and trained beside an assistant."""
    recipe = recipe_for(base.family, base.path)
    return few_step_recipe(recipe) if has_assistant and base.is_step_distilled else recipe
