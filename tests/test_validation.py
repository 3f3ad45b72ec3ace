import pytest
from pydantic import BaseModel, ConfigDict, Field

from packshot.errors import InsertionRefused, PackshotError, PlanInvalid
from packshot.insertion.settings import InsertionSettings
from packshot.shots import ShotSettings
from packshot.validation import validated


class Size(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int = Field(ge=8)
    margin: int = 0


def test_what_was_given_is_in_the_model_and_the_rest_as_it_is():
    assert validated(Size, PlanInvalid, side=8) == Size(side=8, margin=0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"side": 7}, "side = 7: input should be greater than or equal to 8"),
        ({"side": "x" * 99}, r"side = 'x{59}…: input should be a valid integer"),
        ({}, "side is missing"),
        ({"side": 8, "sides": 2}, "sides: there is no such setting"),
        ({"side": 7, "margin": "?"}, "side = 7: .*; margin = '\\?': "),
    ],
)
def test_what_is_wrong_is_told_in_one_line_as_the_kind_that_was_asked_for(given, words):
    with pytest.raises(PlanInvalid, match=f"^{words}") as refused:
        validated(Size, PlanInvalid, **given)
    assert "\n" not in str(refused.value)


def test_settings_out_of_range():
    with pytest.raises(PackshotError, match=r"steps = 0: input should be greater"):
        validated(ShotSettings, PackshotError, steps=0)
    with pytest.raises(InsertionRefused, match=r"light_hardness = 2: input should be less"):
        validated(InsertionSettings, InsertionRefused, light_hardness=2)
