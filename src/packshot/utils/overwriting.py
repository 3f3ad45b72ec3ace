"""Results in folders that may hold the user's own files, of which none is replaced."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.errors import OverwriteError
from packshot.utils import files, hashing, in_place, reading, serialization

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = ".packshot.jsonl"
"""A folder's record of the results that Packshot has written there, by their hashes."""


def write_result(path: Path, data: bytes) -> None:
    """As `files.write_bytes`, into a folder that may hold the user's own files, of which it replaces none.

    Raises:
        OverwriteError: as `refuse_others`.
    """
    _write(path, [data])


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """As `write_result`, of tensors as a safetensors file."""
    _write(path, serialization.safetensors_parts(tensors, metadata))


def _write(path: Path, parts: Sequence[serialization.Bytes]) -> None:
    """Noted before it is written, so that a result of a killed process is known as one."""
    refuse_others(path)
    note_result(path, hashing.sha256_of(*parts))
    files.write_parts(path, parts)


def refuse_others(*paths: Path) -> None:
    """Refuse to replace what Packshot has not written, by the record of each file's folder.

    Raises:
        OverwriteError: there is a file that is not in the record as it stands.
    """
    for path in paths:
        if os.path.lexists(path) and not is_result(path):
            raise OverwriteError(
                f"{path} was not written by Packshot, or was changed since, so it is not replaced. Move "
                "it away, or name another place for the results."
            )


def note_result(path: Path, sha256: str) -> None:
    """Record that the file at `path` with this hash is Packshot's, before or after it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = serialization.as_json({"file": _name(path), "sha256": sha256})
    in_place.append_line(path.parent / RESULTS, line, durable=True)


def is_result(path: Path) -> bool:
    """Whether a file is as Packshot has written it there as a result."""
    if path.is_symlink() or not path.is_file():
        return False
    record = reading.read_json_lines(path.parent / RESULTS)
    noted = [row for row in record if row.get("file") == _name(path)]
    return bool(noted) and {"file": _name(path), "sha256": hashing.sha256(path)} in noted


def _name(path: Path) -> str:
    """A file's name as the record has it: of one in other bytes than UTF-8 these are escaped."""
    return path.name.encode("utf-8", "backslashreplace").decode()
