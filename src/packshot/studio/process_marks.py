"""Which process is whose, though ids are given again, machines start anew and clocks are set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SECONDS = 2.0
"""By how much two readings of one start may differ: Linux tells when it was booted in whole seconds."""


def mark_of(process: psutil.Process) -> dict[str, Any]:
    """What tells a process from any other, as JSON takes it.

    Linux knows by how many seconds after the machine's start a process began, and what psutil tells of
    the clock moves when that is set; others keep what the clock said.
    """
    booted = psutil.boot_time() if psutil.LINUX else 0.0
    boot = _BOOT.read_text().strip() if _BOOT.is_file() else ""
    return {"pid": process.pid, "boot": boot, "started": process.create_time() - booted}


def process_of(mark: Mapping[str, Any]) -> psutil.Process | None:
    """The process of which a mark is; None if it has ended, or the mark is none."""
    try:
        process = psutil.Process(int(mark["pid"]))
        now = mark_of(process)
        is_it = (
            now["boot"] == mark["boot"] and abs(now["started"] - float(mark["started"])) < _SECONDS
        )
        return process if is_it and process.status() != psutil.STATUS_ZOMBIE else None
    except (KeyError, TypeError, ValueError, OSError, psutil.Error):
        return None
