"""What a whole run leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.project import Project

if TYPE_CHECKING:
    from packshot.plan import Plan


@dataclass(frozen=True)
class RunResult:
    """What the whole path leaves."""

    project: Project
    refused: dict[str, str]
    """Photos that were not taken in, and why."""
    plan: Plan | None
    report_file: Path | None
    stopped: bool = False
    """Training was asked to stop on the way."""
    was_complete: bool = False
    """There was nothing to do: all of it stands."""
