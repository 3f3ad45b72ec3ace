"""refused.json: which files were refused, and why, as a code and in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from packshot.errors import Refusal
from packshot.utils import files, reading


def is_used(reason: str) -> bool:
    """Whether no file is refused, but something was left out of one."""
    return getattr(reason, "code", "") == "used"


def count_refused(refused: Mapping[str, str]) -> int:
    """How many files are truly refused."""
    return sum(not is_used(reason) for reason in refused.values())


def write_refusals(path: Path, refused: Mapping[str, str]) -> None:
    """Write {name: {"code": ..., "text": ...}}; a reason without a code is "rejected"."""
    files.write_json(
        path,
        {
            name: {"code": getattr(reason, "code", "rejected"), "text": str(reason)}
            for name, reason in refused.items()
        },
    )


def read_refusals(path: Path) -> dict[str, Refusal]:
    """What `write_refusals` wrote; nothing where there is no file, or it is damaged.

    Packshot 0.1 wrote the words alone; how those begin tells which photos were blurred.
    """
    found = reading.read_json(path)
    if not isinstance(found, dict):
        return {}
    return {
        name: refusal for name, said in found.items() if (refusal := _refusal(said)) is not None
    }


def _refusal(said: object) -> Refusal | None:
    match said:
        case {"code": str(code), "text": str(text)}:
            return Refusal(text, code)
        case str():
            return Refusal(said, "blurred" if said.startswith("is blurred") else "rejected")
    return None
