"""What Packshot's commands and functions say of errors, in the language of the page.

They speak English. `[told]` of the texts has what a user of the studio may meet: the English table has
the words by which a message is known, with its values in braces, and the others have it in their language.
"""

from __future__ import annotations

import re
from functools import cache

from markupsafe import Markup, escape

from packshot.studio.texts import Texts, texts_in

_SHELF = "told."
_LONGEST = 4000
"""Characters of a message that is looked for: it is matched with some hundred patterns."""


def told(t: Texts, message: str) -> Markup:
    """A message for a page: translated, else in English as such, and said to be so."""
    if t.language == "en":
        return Markup('<span lang="en">{}</span>').format(message)
    if (own := translated(t, message)) is not None:
        return escape(own)
    return Markup('{} <span lang="en">{}</span>').format(t("frame.in_english"), message)


def plainly(t: Texts, message: str) -> str:
    """As `told`, for answers that are no HTML."""
    if t.language == "en":
        return message
    return translated(t, message) or f"{Markup(t('frame.in_english')).unescape()} {message}"


def translated(t: Texts, message: str) -> str | None:
    """A message in a language, its values kept; None if there are no words for it."""
    head, *listed = message.split("\n  ")
    if listed and (own := _found(t, head)):
        return "\n  ".join([own, *(translated(t, line) or line for line in listed)])
    if found := _found(t, message):
        return found
    name, colon, reason = message.partition(": ")  # of a file that was not taken
    own = _found(t, reason) if colon else None
    return f"{name}: {own}" if own else None


def _found(t: Texts, message: str) -> str | None:
    if len(message) > _LONGEST:
        return None
    for key, pattern in _patterns():
        if match := pattern.fullmatch(message):
            return t.table[key].format(**match.groupdict())
    return None


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The English messages, those of the most words first: they say most of what they match."""
    table = {key: text for key, text in texts_in("en").table.items() if key.startswith(_SHELF)}
    by_words = sorted(table, key=lambda key: -len(re.sub(r"{\w+}", "", table[key])))
    return [(key, _pattern(table[key])) for key in by_words]


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"{(\w+)}", text)
    written = "".join(
        f"(?P<{part}>.*?)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    return re.compile(written, re.DOTALL)
