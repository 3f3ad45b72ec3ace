import re
from pathlib import Path

import pytest

from packshot.errors import InvalidPlanError
from packshot.models import registry
from packshot.plan.config import Plan
from packshot.plan.recipes import Recipe, family_recipe, recipe_for

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("photos", "exposures"), [(1, 600), (5, 600), (10, 900), (15, 1200), (99, 2400)]
)
def test_exposures_follow_the_table(photos, exposures):
    assert family_recipe("sd1").exposures_for(photos) == exposures


def test_a_checkpoints_own_recipe_overrides_its_familys(tmp_path):
    (tmp_path / "recipe.toml").write_text("learning_rate = 0.002\neffective_batch_size = 8\n")
    recipe = recipe_for("sd1", tmp_path)
    assert (recipe.learning_rate, recipe.effective_batch_size, recipe.rank) == (
        0.002,
        8,
        family_recipe("sd1").rank,
    )
    assert recipe_for("sd1", tmp_path / "elsewhere") == family_recipe("sd1")


@pytest.mark.parametrize(
    "line",
    [
        "effective_batch_size = 0", "rank = 1025", "crops_per_photo = 17", "exposures = {}",
        "exposures = {many = 5}", "exposures = {5 = 0}", "sizes = []", "sizes = [0]",
    ],
)  # fmt: skip
def test_a_recipe_that_makes_no_sense_is_named(tmp_path, line):
    (tmp_path / "recipe.toml").write_text(f"{line}\n")
    with pytest.raises(InvalidPlanError, match=rf"recipe\.toml: {line.split()[0]}"):
        recipe_for("sd1", tmp_path)


def test_what_a_recipe_allows_a_plan_takes():
    """Else it is refused after measuring for minutes, and not in words."""
    shared = Recipe.model_fields.keys() & Plan.model_fields.keys()
    assert {"rank", "crops_per_photo", "learning_rate"} <= shared
    for name in shared:
        ours, plans = (
            set(map(repr, model.model_fields[name].metadata)) for model in (Recipe, Plan)
        )
        assert ours == plans, name


def _rows(page, first):
    """The cells of the rows of a page's tables whose line matches, by each family that they name."""
    rows = {}
    for line in (DOCS / page).read_text("utf-8").splitlines():
        if re.match(first, line):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            rows |= {name: cells[1:] for name in re.findall(r"`(\w+)`", cells[0])}
    return rows


def _told(recipe):
    exposures = " / ".join(str(recipe.exposures_for(photos)) for photos in (5, 15, 40))
    rate = f"{recipe.learning_rate:.0e}".replace("e-0", "e-")
    return exposures, rate, str(recipe.rank), str(recipe.effective_batch_size)


def test_the_pages_tell_every_familys_recipe():
    compared = _rows("recipes.md", r"\| `.*\*\*Packshot")
    planned = _rows("plan.md", r"\| `\w+`.* / .* / ")
    families = set(registry.families())
    assert set(compared) == families and set(planned) - {"pocket"} == families
    for name in families:
        recipe = family_recipe(name)
        exposures, rate, rank, batch = _told(recipe)
        shown = [f"{exposures}, batch {batch}", rate, f"{rank} / {rank}", "cosine"]
        assert compared[name][1:5] == shown, name
        rest = [str(recipe.class_image_ratio), str(recipe.crops_per_photo)]
        assert planned[name] == [rate, rank, batch, *rest, exposures], name
