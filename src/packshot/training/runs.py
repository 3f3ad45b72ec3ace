"""The runs of a project: which one is a plan's, and whether it came to its end."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from packshot.plan.config import Plan, read_plan_if_valid
from packshot.project import Project
from packshot.utils import files


def run_of(project: Project, plan: Plan) -> Path | None:
    """The run folder of this plan, if it stands."""
    for run in reversed(project.runs()):
        other = read_plan_if_valid(run / "plan.toml")
        if other and other.fingerprint() == plan.fingerprint():
            return run
    return None


def open_run(project: Project, plan: Plan) -> Path:
    """The run folder of this plan: the one that stands, or a new one."""
    if stands := run_of(project, plan):
        return stands
    for begun in project.runs_folder.glob("*"):
        if begun.is_dir() and not (begun / "plan.toml").exists():
            for part in begun.glob(".plan.toml.*.part"):
                part.unlink()
            if not any(begun.iterdir()):
                begun.rmdir()  # we were killed before there was anything in it
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    taken = {run.name for run in project.runs_folder.glob("*")}
    name = next(n for i in range(len(taken) + 1) if (n := stamp + f"-{i}" * bool(i)) not in taken)
    run = project.runs_folder / name
    files.write_bytes(run / "plan.toml", project.plan_file.read_bytes())
    return run


def current_run(project: Project) -> Path | None:
    """The run of the plan that stands, else the newest; None if nothing was trained yet."""
    plan = read_plan_if_valid(project.plan_file)
    found = run_of(project, plan) if plan else None
    return found or next(reversed(project.runs()), None)


def finished(run: Path) -> dict[str, Any] | None:
    """The run's closing event, if it came to its end."""
    events = files.read_json_lines(run / "events.jsonl")
    return next((event for event in reversed(events) if event["kind"] == "done"), None)
