import pytest

from packshot.errors import InvalidPlanError
from packshot.plan.recipes import family_recipe, recipe_for


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


def test_a_recipe_that_makes_no_sense_is_named(tmp_path):
    (tmp_path / "recipe.toml").write_text("effective_batch_size = 0\n")
    with pytest.raises(InvalidPlanError, match=r"recipe\.toml: effective_batch_size"):
        recipe_for("sd1", tmp_path)
