"""`packshot report`."""

from __future__ import annotations

from packshot.cli.options import Here, Language, ProjectFolder, project_at
from packshot.cli.terminal import echo


def report(project: ProjectFolder = Here, language: Language = "en") -> None:
    """Write report.html: the whole project on one page."""
    from packshot.report import write_report

    echo(f"Report: {write_report(project_at(project), language)}")
