"""The guide's words: one table a language, `<language>.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packshot.errors import PackshotError
from packshot.utils import reading

LANGUAGES = ("en", "it")


@dataclass(frozen=True)
class PhotoAdvice:
    """What is missing, and what to do about it."""

    missing: str
    advice: str


Words = Mapping[str, Mapping[str, str]]
"""Of each kind of finding: `missing` and `advice`, with its numbers in braces."""


def words_of(language: str) -> Words:
    """A language's words.

    Raises:
        PackshotError: there are none.
    """
    if language not in LANGUAGES:
        raise PackshotError(
            f"The guide has no words in {language!r}; choose of {', '.join(LANGUAGES)}."
        )
    return reading.read_toml(Path(__file__).with_name(f"{language}.toml"))


def in_words(kind: str, numbers: Mapping[str, int], words: Words) -> PhotoAdvice:
    """One finding in words."""
    return PhotoAdvice(**{part: text.format(**numbers) for part, text in words[kind].items()})
