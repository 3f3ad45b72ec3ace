"""`RunResult`: the result of a whole run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.project import Project

if TYPE_CHECKING:
    from packshot.plan import Plan


@dataclass(frozen=True)
class RunResult:
    """The result of a whole run."""

    project: Project
    refused: dict[str, str]
    """Photos that were not accepted, with the reasons."""
    plan: Plan | None
    report_file: Path | None
    stopped: bool = False
    """Training was stopped by the user."""
    was_complete: bool = False
    """There was nothing to do."""
