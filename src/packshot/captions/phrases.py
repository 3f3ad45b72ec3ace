"""The phrase bank: descriptions of what a photo may show besides its product.

A checkpoint may have its own bank, in the words of its training captions: `phrases.toml` in its
folder, or next to it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from packshot.errors import PackshotError
from packshot.utils import reading
from packshot.utils.validation import describe

FILE = "phrases.toml"
_GENERAL = Path(__file__).with_name(FILE)


class Group(BaseModel):
    """Choices of which at most one applies to a photo."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    joined_by: str = " "
    """What stands between the noun (or the group before) and the phrase."""
    least_probability: float = Field(default=0.5, gt=0, le=1)
    least_margin: float = Field(default=0.25, ge=0, le=1)
    """How far the best choice's probability must be ahead of the second's, to be said."""
    unless: list[str] = []
    """Phrases of groups before after which this group says nothing."""
    choices: list[list[str]] = Field(min_length=2)
    """Each choice's wordings: the first is said, all are looked for."""

    @field_validator("choices")
    @classmethod
    def _worded(cls, value: list[list[str]]) -> list[list[str]]:
        if not all(wordings and all(words.strip() for words in wordings) for wordings in value):
            raise ValueError("each choice needs a wording")
        return value

    @cached_property
    def phrases(self) -> list[str]:
        """The phrase of each choice."""
        return [wordings[0] for wordings in self.choices]


class Bank(BaseModel):
    """Groups in the order of their phrases in a caption."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    groups: dict[str, Group]


def read_bank(checkpoint: Path) -> Bank:
    """The checkpoint's own phrases if it has any, else the general ones.

    Raises:
        PackshotError: its phrases.toml does not parse.
    """
    own = (checkpoint / FILE, checkpoint.parent / FILE)
    return _read(next((path for path in own if path.is_file()), _GENERAL))


def general_bank() -> Bank:
    """The phrases for CLIPs trained on images from the web."""
    return _read(_GENERAL)


def _read(path: Path) -> Bank:
    try:
        return Bank(groups=reading.read_toml(path))
    except ValidationError as error:
        raise PackshotError(f"{path}: {describe(error)}") from error
