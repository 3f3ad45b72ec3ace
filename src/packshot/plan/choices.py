"""What each time budget buys, measured once: for a person who chooses one."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot.errors import PackshotError
from packshot.utils import reading

BUDGETS = (
    *(30, 45, 60, 90, 120, 180, 240, 300, 360, 480, 600, 720, 900, 1200, 1500, 1800, 2400, 3000),
    *(3600, 4500, 5400, 7200, 9000, 10800, 14400, 18000, 21600, 28800, 36000, 43200, 57600, 86400),
)
"""Seconds: times that people think in."""


class PlanChoice(BaseModel):
    """The plan that a time budget would give."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    budget: int | None
    """Seconds; None for the whole recipe."""
    steps: int = Field(ge=1)
    resolution: int = Field(ge=1)
    exposures: int = Field(ge=0)
    """How often a photo is seen, all photos together."""
    share: float = Field(ge=0)
    """Of the whole recipe's steps."""
    seconds: float = Field(ge=0)
    bytes: int = Field(ge=0)
    """Of memory, at the peak."""
    disk_bytes: int = Field(ge=0)
    """Of saved states and LoRA files."""


class PlanChoices(BaseModel):
    """All of a project's choices, and what they were measured for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    base: str
    photos: int
    class_images: int
    choices: tuple[PlanChoice, ...] = Field(min_length=1)
    """The shortest first; the last is the whole recipe."""


def read_choices(path: Path) -> PlanChoices | None:
    """The choices that `compare_budgets` wrote; None where there are none, or they are damaged."""
    try:
        return PlanChoices.model_validate(reading.read_json(path))
    except (PackshotError, ValidationError):
        return None
