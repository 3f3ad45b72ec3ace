"""Licences, by the short codes that Openverse uses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packshot.errors import ClassImagesError

CODES = ("cc0", "pdm", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
FREE = ("cc0", "pdm", "by")
"""The default: any use is allowed, and derived works need no particular licence."""
UNTOLD = "unknown"
"""The name of a missing licence."""

_DEED = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)(?:/(\d\.\d))?")
_NAME = re.compile(r"(?:cc[ -](?=by))?(.+?)(?:[ -](\d\.\d)\b.*)?")
_PUBLIC = {
    "cc0": "cc0", "cc-zero": "cc0", "zero": "cc0",
    "pdm": "pdm", "mark": "pdm", "public domain": "pdm", "public domain mark": "pdm",
}  # fmt: skip


def licence_code(*said: str) -> str | None:
    """The code of the first known licence among names ("CC BY 2.0"), codes and URLs."""
    return next((licence[0] for text in said if (licence := _read(text))), None)


def licence_name(*said: str) -> str:
    """The licence's usual name, with its version if that is known: "CC BY 2.0"."""
    licences = [licence for text in said if (licence := _read(text))]
    if not licences:
        return next((text for text in said if text), UNTOLD)
    code = licences[0][0]
    if code in ("cc0", "pdm"):
        return {"cc0": "CC0 1.0", "pdm": "public domain"}[code]
    version = next((version for other, version in licences if other == code and version), "")
    return f"CC {code.upper()} {version}".strip()


def _read(text: str) -> tuple[str, str] | None:
    """The (code, version) of a licence's name, code or URL; None if it is unknown."""
    text = " ".join(text.lower().split())
    match = _DEED.search(text) or _NAME.fullmatch(text)
    if not match:
        return None
    code = _PUBLIC.get(match[1], match[1].replace(" ", "-"))
    return (code, match[2] or "") if code in CODES else None


def check_licences(asked: Sequence[str]) -> tuple[str, ...]:
    """Validate licence codes, in any letter case.

    Raises:
        ClassImagesError: an unknown code, or no code.
    """
    codes = tuple(dict.fromkeys(code.strip().lower() for code in asked if code.strip()))
    unknown = [code for code in codes if code not in CODES]
    if unknown or not codes:
        fault = f"is no licence that is known: {', '.join(unknown)}" if unknown else "names none"
        raise ClassImagesError(f"--class-licences {fault}. Choose from {', '.join(CODES)}.")
    return codes
