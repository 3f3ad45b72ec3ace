"""The run folders of a project: which is a plan's, whether it has ended, and the LoRAs that they keep."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from packshot.errors import StaleRunError
from packshot.plan.config import Plan, read_plan_if_valid
from packshot.project import Project
from packshot.training.chosen import is_in_place
from packshot.training.events import Done, WentOn, as_record, log_of, read_events
from packshot.utils import copying, files, hashing, overwriting, pathnames


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


def reopen(project: Project, run: Path, plan: Plan, ended: Done | None) -> None:
    """Note in a run's log that it goes on from where it ended; its LoRA is kept as that of a step.

    Raises:
        StaleRunError: it has not ended, or at the plan's last step.
    """
    if ended is None:
        raise StaleRunError(
            "This run has not ended, so it need not be told to go on: the command without --go-on "
            "resumes it."
        )
    if ended.step >= plan.steps:
        raise StaleRunError(
            f"This run ended at its last step, {plan.steps}. For a longer one set steps in plan.toml and "
            "train; that is a new run."
        )
    name = project.diffusers_lora_file.name
    if pathnames.is_file(run / name):
        copying.hard_link_or_copy(run / name, checkpoint_file(run, name, ended.step))
    kept = [event for event in read_events(run) if not isinstance(event, Done)]
    records = [as_record(event, run) for event in (*kept, WentOn(ended.step))]
    files.write_json_lines(log_of(run), iter(records))


def refuse_other_loras(project: Project) -> None:
    """Refuse to replace LoRAs that a person has placed in the project, or changed.

    Those of before there was a record of them are known by the runs that keep them.

    Raises:
        OverwriteError: as `overwriting.refuse_others`.
    """
    for place in lora_files(project):
        if not any(hashing.is_same(place, run / place.name) for run in project.runs()):
            overwriting.refuse_others(place)


def checkpoint_file(run: Path, name: str, step: int) -> Path:
    """The LoRA after a step before the run's last, in diffusers' format; `name` is that LoRA's."""
    return run / "steps" / f"{step:07d}" / name


def checkpoints(run: Path, name: str) -> dict[int, Path]:
    """The LoRA files that a run has kept of steps before its last, by step, the earliest first."""
    places = sorted((run / "steps").glob("[0-9]" * 7))
    return {int(place.name): place / name for place in places if pathnames.is_file(place / name)}


def restore_lora(project: Project, run: Path, ended: Done) -> Done | None:
    """Make a finished run's LoRA the project's again; None if the run no longer has it.

    What was chosen of the run stays.
    """
    places = lora_files(project)
    kept = [run / place.name for place in places]
    if not all(file.is_file() for file in kept):
        return None
    if ended.lora_sha256 != tuple(map(hashing.sha256, kept)):
        return None
    if not is_in_place(project, run.name):
        hand_over(project, run)
    return replace(ended, lora_file=places[0], diffusers_lora_file=places[1])


def lora_files(project: Project) -> tuple[Path, Path]:
    """The project's LoRA in kohya's format and in diffusers'; a run's have the same names."""
    return project.lora_file, project.diffusers_lora_file


def hand_over(project: Project, run: Path) -> tuple[str, str]:
    """Make a run's LoRA the project's; the run keeps its own. Returns the hashes of its files.

    Raises:
        OverwriteError: as `refuse_other_loras`.
    """
    refuse_other_loras(project)
    hashes = []
    for place in lora_files(project):
        kept = run / place.name
        hashes.append(hashing.sha256(kept))
        if not hashing.is_same(place, kept):
            overwriting.note_result(place, hashes[-1])
            copying.hard_link_or_copy(kept, place)
    return hashes[0], hashes[1]
