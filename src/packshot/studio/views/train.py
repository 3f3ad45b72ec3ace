"""Train: loss and trend, time left, samples by step; start, pause, resume, finish; the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

from packshot.doctor.load import machine_load
from packshot.errors import PackshotError
from packshot.plan import read_plan
from packshot.plan.config import Plan
from packshot.project import Project
from packshot.report.loss_curve import loss_curve
from packshot.studio.pages import Visit, view
from packshot.studio.views.pictures import SOURCES
from packshot.studio.views.plan import seconds_of
from packshot.studio.views.steps import Step
from packshot.training.events import Done, Evaluated, Event, Sample, Stopped, read_events
from packshot.training.events import Step as StepDone
from packshot.training.runs import current_run, run_of

STEP = Step("train", lambda project: project.lora_file.is_file())
MOST_POINTS = 600
"""Of the curve: a screen has no more pixels for it."""
_RECENT = 30
"""Steps from which the pace is told."""


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    step: int
    steps: int
    loss: float | None
    seconds_left: float | None
    is_done: bool
    is_stopped: bool
    is_early: bool
    """It ended before the plan's last step, because it was done."""


@view("/p/{project}/train")
def show(visit: Visit) -> Response:
    """The page."""
    return visit.page("train.html")


@view("/p/{project}/train/state")
def state(visit: Visit) -> Response:
    """The run of the current plan, as far as it is."""
    project, fault, plan = visit.here, "", None
    try:
        plan = read_plan(project.plan_file) if project.plan_file.is_file() else None
    except PackshotError as error:
        fault = str(error)
    run = run_of(project, plan) if plan else current_run(project)
    events = read_events(run) if run else []
    job = visit.studio.queue.current(visit.project_id, "train")
    return visit.page(
        "_train.html", plan=plan, seconds=seconds_of(project, plan) if plan else 0, fault=fault,
        job=job, progress=progress(events, plan),
        curve=loss_curve(thinned(events)), samples=samples(project, events),
    )  # fmt: skip


@view("/p/{project}/train/machine")
def machine(visit: Visit) -> Response:
    """How busy the machine is."""
    return visit.page("_machine.html", load=machine_load(visit.here.root))


@view("/p/{project}/train", "POST")
def start(visit: Visit) -> Response:
    """Queue the training, or its resumption."""
    if visit.studio.queue.current(visit.project_id, "train"):
        return Response(status_code=204)
    words = [f"--{name}" for name in ("finish", "go-on") if visit.value(name, "")]
    visit.studio.queue.add(visit.here, "train", "train", *words)
    return Response(status_code=204)


@view("/p/{project}/train/pause", "POST")
def pause(visit: Visit) -> Response:
    """Stop after the current step; the state is saved."""
    if job := visit.studio.queue.current(visit.project_id, "train"):
        if not job.stopping:
            visit.studio.queue.stop(job.id)
        return visit.notice("train.pausing")
    return Response(status_code=204)


def progress(events: Sequence[Event], plan: Plan | None) -> Progress | None:
    """Where a run is; None before its first step."""
    steps = [event for event in events if isinstance(event, StepDone)]
    if not steps:
        return None
    last, recent = steps[-1], steps[-_RECENT:]
    pace = sum(event.seconds for event in recent) / len(recent)
    end = next((event for event in reversed(events) if isinstance(event, (Done, Stopped))), None)
    is_last = end is not None and events[-1] is end
    return Progress(
        last.step, last.steps, last.loss, pace * (last.steps - last.step),
        any(isinstance(event, Done) for event in events), is_last and isinstance(end, Stopped),
        isinstance(end, Done) and end.step < last.steps,
    )  # fmt: skip


def thinned(events: Sequence[Event]) -> list[Event]:
    """The evaluations, and no more steps than a curve shows, evenly chosen."""
    told: list[Event] = [event for event in events if isinstance(event, Evaluated)]
    steps = [event for event in events if isinstance(event, StepDone)]
    every = -(-len(steps) // MOST_POINTS) or 1
    return told + [step for n, step in enumerate(steps) if n % every == 0 or step is steps[-1]]


def samples(project: Project, events: Sequence[Event]) -> list[tuple[int, list[tuple[str, str]]]]:
    """The samples by step: prompt, and the picture's path in the project."""
    rows = {event.step: event for event in events if isinstance(event, Sample)}
    return [
        (
            step,
            [
                (prompt, file.relative_to(project.root).as_posix())
                for prompt, file in zip(event.prompts, event.files, strict=False)
                if file.is_file()
            ],
        )
        for step, event in sorted(rows.items())
    ]


def _sample_files(project: Project) -> list[Path]:
    run = current_run(project)
    events = read_events(run) if run else []
    return [
        file
        for event in events
        if isinstance(event, Sample)
        for file in event.files
        if file.is_file()
    ]


SOURCES["sample"] = _sample_files
ROUTES = [show, state, machine, start, pause]
