"""What the user has agreed to be fetched for a project.

Kept in the user's cache: a project may be somebody else's, and say of itself what it likes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from packshot.errors import PackshotError
from packshot.utils import caches, files, hashing, reading


def agreed(root: Path) -> set[str]:
    """The names (of models, of sources) that were agreed to for the project in `root`."""
    known = reading.read_json(_file(root))
    return {str(name) for name in known} if isinstance(known, list) else set()


def agree(root: Path, names: Iterable[str]) -> None:
    """Remember that the user wants these for the project in `root`."""
    before = agreed(root)
    if new := set(names) - before:
        with contextlib.suppress(PackshotError):  # then it is asked again
            files.write_json(_file(root), sorted(before | new))


def _file(root: Path) -> Path:
    return caches.cache_folder() / "agreed" / f"{hashing.fingerprint(str(root.resolve()))}.json"
