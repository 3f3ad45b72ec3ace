"""Hashes of files and values, and stamps that tell whether a file has changed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from packshot.utils import pathnames, serialization

_HASHES: dict[tuple[Path, tuple[int, int, int]], str] = {}
_TICK = 2 * 10**9
"""Nanoseconds that file systems' clocks may take from one time to the next (FAT: two seconds)."""


def stamp(path: str | Path) -> tuple[int, int, int]:
    """Size and times of a file (of a link itself), which differ whenever its content does.

    A program that copies a file may set its time of modification, but not that of its change.
    """
    status = os.stat(path, follow_symlinks=False)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """As `sha256`; in one process, a file is read again only if its stamp has changed."""
    before = stamp(path)
    if (known := _HASHES.get((path, before))) is None:
        known = sha256(path)
        if time.time_ns() - max(before[1:]) > _TICK:  # else it may change under one stamp
            _HASHES[path, before] = known
    return known


def sha256_of(*parts: serialization.Bytes) -> str:
    """SHA-256 of bytes, one part after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 (hexadecimal) of a JSON-able value, keys sorted."""
    return sha256_of(json.dumps(value, sort_keys=True, default=str).encode())


def is_same(first: Path, second: Path) -> bool:
    """Whether both are files, and one file or of the same content."""
    if not (pathnames.is_file(first) and pathnames.is_file(second)):
        return False
    return first.samefile(second) or sha256(first) == sha256(second)
