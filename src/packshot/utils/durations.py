"""Durations in text, such as "1h30m"."""

from __future__ import annotations

import re

from packshot.errors import PackshotError

_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def to_seconds(text: str) -> float:
    """ "90", "90s", "10m", "1h30m" to seconds.

    Raises:
        PackshotError: the text has another form, or is empty.
    """
    match = _PARTS.fullmatch(text.strip().lower())
    if not match or not any(match.groups()):
        raise PackshotError(f"'{text}' is not a time; write 90s, 10m or 1h30m.")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def in_words(seconds: float) -> str:
    """Seconds as "45 s", "3 min 20 s" or "1 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
