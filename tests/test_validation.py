"""pydantic's refusals, as lines that a person can act on."""

from typing import Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from packshot.validation import describe


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
