"""What the pages say: a table of texts for each language, `texts/<language>.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from packshot.utils import reading

LANGUAGES = {"en": "English", "it": "Italiano"}
_FOLDER = Path(__file__).with_name("texts")


@dataclass(frozen=True)
class Texts:
    """One language's texts: called with a key and the values of its braces."""

    language: str
    table: Mapping[str, str]

    def __call__(self, key: str, **values: Any) -> Markup:
        """The text of a key, its values escaped.

        A number `n` chooses between `KEY.one` and `KEY.other`, where there are these.

        Raises:
            KeyError: there is no such text.
        """
        if "n" in values and f"{key}.other" in self.table:
            key = f"{key}.{'one' if values['n'] == 1 else 'other'}"
        return Markup(self.table[key].format(**{name: escape(one) for name, one in values.items()}))

    def __contains__(self, key: str) -> bool:
        return key in self.table

    def get(self, key: str, other: str) -> str:
        """A text without values; `other` where there is none."""
        return self.table.get(key, other)


@cache
def texts_in(language: str) -> Texts:
    """The texts of a language of `LANGUAGES`."""
    return Texts(language, dict(_flat(reading.read_toml(_FOLDER / f"{language}.toml"))))


def preferred(accepted: str) -> str:
    """The first language of an Accept-Language header that there are texts in, else English."""
    for part in accepted.split(","):
        if (code := part.strip()[:2].lower()) in LANGUAGES:
            return code
    return "en"


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    pairs = []
    for key, value in table.items():
        name = f"{before}{key}"
        pairs += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, str(value))]
    return pairs
