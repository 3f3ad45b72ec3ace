"""The vocabulary of captions, as data: names of things, and one wording for each phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packshot.utils import reading

_HERE = Path(__file__).parent
_SPLIT = re.compile(r"[\s-]+")


@dataclass(frozen=True)
class Words:
    """`words.toml`: sets of lower-case words; see the comments there."""

    kinds: tuple[frozenset[str], ...]
    ambiguous: frozenset[str]
    compounds: frozenset[str]
    unlike: frozenset[str]
    indefinite: frozenset[str]
    definite: frozenset[str]
    situations: frozenset[str]
    attributes: frozenset[str]
    stops: frozenset[str]
    openers: re.Pattern[str]
    meta_tags: frozenset[str]

    def nouns(self, class_noun: str) -> set[str]:
        """All nouns that a captioner may use for a thing of this class, singular or plural."""
        noun = class_noun.lower()
        wanted = {noun, _SPLIT.split(noun)[-1]}
        wanted |= {noun.removesuffix("s") for noun in list(wanted) if not noun.endswith("ss")}
        names = {noun for kind in self.kinds if kind & wanted for noun in kind}
        return names | {noun, _SPLIT.split(noun)[-1]}


@cache
def words() -> Words:
    """The words of `words.toml`."""
    read: dict[str, Any] = reading.read_toml(_HERE / "words.toml")
    kinds = tuple(frozenset(kind) for kind in read.pop("kinds"))
    opener = re.compile(rf"(?:{'|'.join(read.pop('openers'))})(?!\w)[,:]?\s*", re.IGNORECASE)
    return Words(
        kinds=kinds, openers=opener, **{name: frozenset(value) for name, value in read.items()}
    )


def plural(noun: str) -> str:
    """The regular plural of an English noun: cars, watches, bodies."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def normalize_wording(caption: str) -> str:
    """A caption with each phrase of `vocabulary.toml` in its one wording; whole phrases only.

    A replacement may complete another phrase ("close-up view view"), so this repeats until nothing
    changes.
    """
    pattern, wordings = _wordings()
    for _ in range(len(caption)):
        before, caption = caption, pattern.sub(lambda match: wordings[match[0].lower()], caption)
        if caption == before:
            break
    return caption


@cache
def _wordings() -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of all phrases, longest first, and each one's wording."""
    table: dict[str, list[str]] = reading.read_toml(_HERE / "vocabulary.toml")["said"]
    wordings = {variant: phrase for phrase, variants in table.items() for variant in variants}
    wordings |= {phrase: phrase for phrase in table}
    longest_first = sorted(wordings, key=lambda phrase: (-len(phrase), phrase))
    alternatives = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])", re.IGNORECASE), wordings
