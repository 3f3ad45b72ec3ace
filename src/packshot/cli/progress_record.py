"""How far a command is, in a file, for a program that shows it: `PACKSHOT_PROGRESS_FILE` names the file."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from packshot.errors import PackshotError
from packshot.utils import files

INTERVAL_SECONDS = 0.3


class ProgressRecord:
    """Writes the last report of progress: what, done, total, note, and since when that work runs."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._what = ""
        self._begun = self._written = 0.0

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """Write a report, at most one in `INTERVAL_SECONDS`, but always the first and the last."""
        if self._file is None:
            return
        now = time.time()
        is_due = what != self._what or done >= total or now - self._written >= INTERVAL_SECONDS
        if what != self._what:
            self._what, self._begun = what, now
        if is_due:
            self._written = now
            told = {"what": what, "done": done, "total": total, "note": note, "since": self._begun}
            with suppress(PackshotError, OSError):  # it is for show: the work goes on without
                files.write_json(self._file, told)


def progress_record() -> ProgressRecord:
    """The record that the environment asks for; without it, one that writes nothing."""
    named = os.environ.get("PACKSHOT_PROGRESS_FILE")
    return ProgressRecord(Path(named) if named else None)
