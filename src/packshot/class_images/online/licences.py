"""Licences, by the short codes that Openverse uses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packshot.errors import ClassImagesError

CODES = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
FREE = ("cc0", "pdm", "by")
"""The default: any use is allowed, works of others made from it need no particular licence."""
UNTOLD = "unknown"
"""What a licence is called of which nothing is said."""

_DEED = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)(?:/(\d\.\d))?")
_NAME = re.compile(r"(?:cc[ -](?=by))?(.+?)(?:[ -](\d\.\d)\b.*)?")
_PUBLIC = {
    "cc0": "cc0", "cc-zero": "cc0", "zero": "cc0",
    "pdm": "pdm", "mark": "pdm", "public domain": "pdm", "public domain mark": "pdm",
}  # fmt: skip


def licence_code(*said: str) -> str | None:
    """The code of the first licence that is known, told by name ("CC BY 2.0"), code or URL."""
    return next((found[0] for text in said if (found := _read(text))), None)


def licence_name(*said: str) -> str:
    """The licence as people write it, with its version if that is told: "CC BY 2.0"."""
    found = [one for text in said if (one := _read(text))]
    if not found:
        return next((text for text in said if text), UNTOLD)
    code = found[0][0]
    if code in ("cc0", "pdm"):
        return {"cc0": "CC0 1.0", "pdm": "public domain"}[code]
    version = next((version for other, version in found if other == code and version), "")
    return f"CC {code.upper()} {version}".strip()


def _read(text: str) -> tuple[str, str] | None:
    """Code and version."""
    text = " ".join(text.lower().split())
    match = _DEED.search(text) or _NAME.fullmatch(text)
    if not match:
        return None
    code = _PUBLIC.get(match[1], match[1].replace(" ", "-"))
    return (code, match[2] or "") if code in CODES else None


def check_licences(asked: Sequence[str]) -> tuple[str, ...]:
    """Codes as they are asked for, in any case.

    Raises:
        ClassImagesError: one is not known, or none is there.
    """
    codes = tuple(dict.fromkeys(code.strip().lower() for code in asked if code.strip()))
    unknown = [code for code in codes if code not in CODES]
    if unknown or not codes:
        said = f"is no licence that is known: {', '.join(unknown)}" if unknown else "names none"
        raise ClassImagesError(f"--class-licences {said}. Choose from {', '.join(CODES)}.")
    return codes
