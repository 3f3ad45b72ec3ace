"""Catalogues as pages show them: read once for each state of their files; new states are noticed."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

from packshot.catalog.rows import RESULTS, Row, read_rows
from packshot.utils import hashing

_Stamp = tuple[int, int, int]


def rows_in(folder: Path) -> tuple[Row, ...]:
    """The rows of a catalogue, in the table's order.

    Raises:
        CatalogError, UnsafePathError: as `packshot.catalog.rows.read_rows`.
        FileNotFoundError: they are gone.
    """
    return _rows(folder, _stamp(folder))


class Watch:
    """Tells which of the catalogues that pages show have new results. From any thread."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Path, _Stamp]] = {}
        self._lock = threading.Lock()

    def look(self, id: str, folder: Path) -> None:
        """Have changes of a catalogue noticed from now on."""
        with self._lock:
            self._seen.setdefault(id, (folder, _stamp(folder)))

    def changed(self) -> set[str]:
        """The ids of those that have changed since the last time."""
        changed = set()
        with self._lock:
            for id, (folder, before) in list(self._seen.items()):
                try:
                    now = _stamp(folder)
                except OSError:  # taken away; a page that shows it again begins anew
                    del self._seen[id]
                    continue
                if now != before:
                    self._seen[id] = folder, now
                    changed.add(id)
        return changed


def _stamp(folder: Path) -> _Stamp:
    return hashing.stamp(folder / RESULTS)


@lru_cache(maxsize=4)
def _rows(folder: Path, stamp: _Stamp) -> tuple[Row, ...]:
    return tuple(read_rows(folder))
