"""pydantic's refusals, as lines that a person can act on."""

from typing import Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from packshot.errors import InsertionError, InvalidPlanError, PackshotError
from packshot.generation.generate import GenerationSettings
from packshot.insertion.settings import InsertionSettings
from packshot.utils.validation import describe, validated


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int = Field(gt=0)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(default=1, ge=1)
    rows: list[Inner] = []
    name: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name == "odd":
            raise ValueError("name and count do not go together")
        return self


def said(**values):
    with pytest.raises(ValidationError) as raised:
        Model.model_validate(values)
    return describe(raised.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": 0}, "count = 0: input should be greater than or equal to 1"),
        ({"cuont": 3}, "cuont: there is no such setting"),
        ({"rows": [{"side": 1}, {}]}, "rows.1.side is missing"),
        ({"name": "odd"}, "name and count do not go together"),
        ({"name": 3}, "name = 3: input should be a valid string"),
    ],
)
def test_each_fault_is_one_phrase(values, words):
    assert said(**values) == words


def test_several_faults_are_parted():
    told = said(count=0, rows=[{"side": -1}], extra=1).split("; ")
    assert [one.split()[0] for one in told] == ["count", "rows.0.side", "extra:"]


def test_a_whole_table_is_not_shown():
    told = said(count=list(range(10_000)))
    assert told.startswith("count = [0, 1, 2") and "…: " in told and len(told) < 150


def test_what_is_shown_cannot_break_the_line():
    assert "\n" not in said(count="a\nb\x1b[2J") and "\x1b" not in said(count="a\nb\x1b[2J")


class Size(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int = Field(ge=8)
    margin: int = 0


def test_what_was_given_is_in_the_model_and_the_rest_as_it_is():
    assert validated(Size, InvalidPlanError, side=8) == Size(side=8, margin=0)


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
    with pytest.raises(InvalidPlanError, match=f"^{words}") as refused:
        validated(Size, InvalidPlanError, **given)
    assert "\n" not in str(refused.value)


def test_settings_out_of_range():
    with pytest.raises(PackshotError, match=r"steps = 0: input should be greater"):
        validated(GenerationSettings, PackshotError, steps=0)
    with pytest.raises(InsertionError, match=r"light_hardness = 2: input should be less"):
        validated(InsertionSettings, InsertionError, light_hardness=2)
