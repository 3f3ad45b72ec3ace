"""How tall the things are that class nouns name: `heights.toml`."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from packshot.utils import reading

_FILE = Path(__file__).with_name("heights.toml")


class _Heights(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    heights: dict[str, float]
    """In metres."""
    synonyms: dict[str, str]
    round_things: frozenset[str] = Field(alias="round")
    with_handle: frozenset[str]
    """Of these, what has one usually, or has otherwise sides that differ."""
    with_windows: frozenset[str]


def height_of(noun: str) -> tuple[float, str] | None:
    """The usual height in metres of what a class noun names, and the noun it was found by.

    The longest known ending counts: "red toy car" is a toy car, "pair of shoes" a shoe. None if no
    ending is known.
    """
    found = _known_noun(noun)
    return (_table().heights[found], found) if found else None


def is_round(noun: str) -> bool:
    """Whether a class noun names a thing with a round foot, such as a can or a mug."""
    return _known_noun(noun) in _table().round_things


def is_same_all_around(noun: str) -> bool:
    """Whether a class noun names a thing that looks the same from all sides: a can, but no mug."""
    return is_round(noun) and _known_noun(noun) not in _table().with_handle


def has_windows(noun: str) -> bool:
    """Whether a class noun names a thing in whose windows surroundings are seen: a car, no toy car."""
    return _known_noun(noun) in _table().with_windows


def _known_noun(noun: str) -> str | None:
    table = _table()
    words = re.findall(r"[\w'-]+", noun.lower().replace("_", " "))
    if "of" in words[1:]:  # "a can of paint" is a can, "a pair of shoes" shoes
        at = words.index("of")
        words = words[at + 1 :] if words[at - 1] in ("pair", "pack", "set", "kind") else words[:at]
    for start in range(len(words)):
        ending = " ".join(words[start:])
        for form in (ending, *_singulars(ending)):
            form = table.synonyms.get(form, form)
            if form in table.heights:
                return form
    return None


def _singulars(word: str) -> list[str]:
    forms = [(r"ies$", "y"), (r"ves$", "fe"), (r"(s|x|ch|sh)es$", r"\1"), (r"s$", "")]
    return [re.sub(plural, single, word) for plural, single in forms if re.search(plural, word)]


@functools.cache
def _table() -> _Heights:
    return _Heights.model_validate(reading.read_toml(_FILE))
