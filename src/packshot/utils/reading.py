"""Records, logs and TOML, read without waiting for what never ends, and with caps."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from packshot.errors import PackshotError
from packshot.utils import drives

MAX_RECORD_BYTES = 256 * 2**20
"""Of a file of records that is read at once; ours have a hundredth."""


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All complete JSON lines of a log; a torn last line is skipped, a missing file gives none."""
    text = _record(path).decode("utf-8", errors="replace") if path.exists() else ""
    values = []
    # Not splitlines(), which also splits at characters that JSON may hold unescaped.
    for line in text.split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(line))
    return values


def read_json(path: Path) -> Any:
    """A file's JSON value; None if there is no file, or it is not JSON."""
    try:
        return json.loads(_record(path))
    except (OSError, ValueError, RecursionError):
        return None


def read_end(path: Path, most: int) -> str:
    """The last `most` bytes of a log, as text; empty where there is no such file."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return ""
            file.seek(max(0, status.st_size - most))
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def _record(path: Path) -> bytes:
    """The bytes of a file of records.

    Raises:
        PackshotError: it is no file, or has more than `MAX_RECORD_BYTES`.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise PackshotError(f"{path} is a pipe or device, not a file. Delete it.")
        if status.st_size > MAX_RECORD_BYTES:
            raise PackshotError(
                f"{path} has {status.st_size / 1e6:,.0f} MB, more than any that Packshot writes. Delete it."
            )
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | drives.NEVER_WAIT)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        PackshotError: it is not TOML; the message names file and line.
    """
    try:
        data = _record(path)
        # Windows' editors write a mark, and PowerShell UTF-16.
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return tomllib.loads(data.decode("utf-16" if is_utf16 else "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise PackshotError(
            f"{path} is not valid TOML, which is UTF-8: {error}. Save it again as UTF-8, or delete it."
        ) from error
    except (ValueError, RecursionError) as error:  # too long a number or too deep a list, too
        raise PackshotError(
            f"{path} is not valid TOML: {error}. Mend it or delete it.{_hint(str(error))}"
        ) from error


def _hint(fault: str) -> str:
    """What is wrong with a path of Windows's in a TOML string, if that may be the fault."""
    is_escape = any(word in fault for word in ("hex value", "escape", "Escaped"))
    return " Write a path that has \\ in it between ' and ', not \"." if is_escape else ""
