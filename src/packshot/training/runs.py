"""The run folders of a project: finding a plan's run, and whether it is finished."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from packshot.plan.config import Plan, read_plan_if_valid
from packshot.project import Project
from packshot.training.events import Done, read_events
from packshot.utils import files


def run_of(project: Project, plan: Plan) -> Path | None:
    """The run folder of this plan; None if there is none."""
    for run in reversed(project.runs()):
        other = read_plan_if_valid(run / "plan.toml")
        if other and other.fingerprint() == plan.fingerprint():
            return run
    return None


def open_run(project: Project, plan: Plan) -> Path:
    """The run folder of this plan, created if there is none."""
    if existing := run_of(project, plan):
        return existing
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
    """The run of the current plan, else the newest run; None if nothing was trained yet."""
    plan = read_plan_if_valid(project.plan_file)
    run = run_of(project, plan) if plan else None
    return run or next(reversed(project.runs()), None)


def finished(run: Path) -> Done | None:
    """The run's closing event; None if it is not finished."""
    return next((e for e in reversed(read_events(run)) if isinstance(e, Done)), None)


def refuse_other_loras(project: Project) -> None:
    """Refuse to replace LoRAs that a person has placed in the project, or changed.

    Those of before there was a record of them are known by the runs that keep them.

    Raises:
        OverwriteError: as `files.refuse_others`.
    """
    for place in (project.lora_file, project.diffusers_lora_file):
        if not any(files.is_same(place, run / place.name) for run in project.runs()):
            files.refuse_others(place)


def checkpoint_file(run: Path, name: str, step: int) -> Path:
    """The LoRA after a step before the run's last, in diffusers' format; `name` is that LoRA's."""
    return run / "steps" / f"{step:07d}" / name


def checkpoints(run: Path, name: str) -> dict[int, Path]:
    """The LoRA files that a run has kept of steps before its last, by step, the earliest first."""
    places = sorted((run / "steps").glob("[0-9]" * 7))
    return {int(place.name): place / name for place in places if files.is_file(place / name)}
