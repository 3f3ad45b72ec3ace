"""The common model of all dataset formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packshot.captions.vocabulary import words

ORIGIN = ("source", "author", "licence", "title", "licence_url")


def origin_of(told: Mapping[str, Any]) -> dict[str, str]:
    """The origin (source, author, licence, …) in an image's metadata."""
    return {key: str(told[key]) for key in ORIGIN if told.get(key)}


@dataclass(frozen=True)
class Entry:
    """An image of a dataset with its metadata; the file is not opened yet."""

    picture: Path
    caption: str | None = None
    mask: Path | None = None
    alpha_is_mask: bool = False
    """Its transparency says what to learn, not what to show."""
    repeats: int = 1
    origin: Mapping[str, str] = field(default_factory=dict)
    """Of `ORIGIN`, what is told."""


@dataclass
class Dataset:
    """Images of the product, class images, and class tokens."""

    entries: list[Entry] = field(default_factory=list)
    class_entries: list[Entry] = field(default_factory=list)
    class_tokens: str | None = None
    """What stands for the product, as in "ohwx car"."""
    class_noun: str | None = None
    """What stands for its class, as in "car"."""
    refused: dict[str, str] = field(default_factory=dict)
    """What names no picture that may be opened, and why."""
    notes: list[str] = field(default_factory=list)
    """Notes for the user: ignored settings, skipped folders."""
    other_tokens: list[str] = field(default_factory=list)
    """Class tokens of its parts that begin with another trigger."""

    def add(self, other: Dataset) -> None:
        """Add another dataset's images that are not in this one; the first class tokens are kept."""
        here = {entry.picture for entry in (*self.entries, *self.class_entries)}
        self.entries += [entry for entry in other.entries if entry.picture not in here]
        self.class_entries += [entry for entry in other.class_entries if entry.picture not in here]
        first, second = ((one.class_tokens or "").split() for one in (self, other))
        if first and second and first[0] != second[0]:
            self.other_tokens.append(" ".join(second))
        self.class_tokens = self.class_tokens or other.class_tokens
        self.class_noun = self.class_noun or other.class_noun
        self.refused |= other.refused
        self.notes += other.notes

    def subject(self, known: str | None = None) -> tuple[str | None, str | None]:
        """Trigger and class noun from class tokens such as "ohwx car", as far as they are known.

        Class images may be called "ohwx car", too: then their noun is what follows the trigger.

        Args:
            known: the trigger, if a person has said it.
        """
        tokens, noun = (self.class_tokens or "").split(), (self.class_noun or "").split()
        if len(noun) > 1 and noun[0] == known:
            return known, " ".join(noun[1:])
        if not tokens or (tokens == noun and (len(tokens) == 1 or _is_noun(tokens))):
            return None, self.class_noun
        if len(noun) > 1 and noun[0] == tokens[0]:
            return tokens[0], " ".join(noun[1:])
        return tokens[0], " ".join(tokens[1:]) or self.class_noun


def _is_noun(tokens: Sequence[str]) -> bool:
    """Whether words are those of a thing, without a trigger before them: "sports car"."""
    known, phrase = words(), " ".join(tokens).lower()
    nouns = {part for kind in known.kinds for noun in kind for part in (noun, noun.split()[0])}
    return phrase in nouns or tokens[0].lower() in known.attributes | known.situations | nouns
