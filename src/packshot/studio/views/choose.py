"""Choose: the runs' LoRAs by likeness and prediction drift, with pictures; which of them is the project's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

from packshot.errors import PackshotError
from packshot.generation.scores import Score, has_current_images, read_scores
from packshot.judging.candidate import (
    Candidate,
    chosen_candidate,
    list_candidates,
    loras_of_runs,
    pictures_of,
)
from packshot.judging.choice import read_proposal
from packshot.project import Project
from packshot.report.axis import axis_of
from packshot.studio.pages import Visit, run_name, view
from packshot.studio.views.pictures import SOURCES, name_of
from packshot.studio.views.steps import Step
from packshot.training.events import Sample, read_events

STEP = Step("choose", lambda project: (project.candidates_folder / "scores.json").is_file())
_WIDE, _HIGH, _MARGIN = 640, 380, 52
"""The plot's size and margin, in units of its picture."""


@dataclass(frozen=True)
class Point:
    """A candidate on the plot."""

    candidate: Candidate
    x: float
    y: float
    pictures: tuple[tuple[str, str], ...]
    """Prompt, and the picture's path in the project."""


@dataclass(frozen=True)
class Line:
    """The points of one LoRA, at different weights."""

    path: str
    end: Point
    side: str
    """Where its name stands from its end: an SVG's text-anchor, so that it stays on the plot."""


@dataclass(frozen=True)
class Plot:
    """The measured candidates by prediction drift (across) and likeness (up)."""

    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    across: tuple[tuple[float, float], ...]
    up: tuple[tuple[float, float], ...]
    """Ticks: their value, and where they are."""


@view("/p/{project}/choose")
def show(visit: Visit) -> Response:
    """The page."""
    return visit.page("choose.html", has_runs=bool(visit.here.runs()))


@view("/p/{project}/choose/list")
def listed(visit: Visit) -> Response:
    """The plot, the candidates that were not measured, and the samples of the runs by step."""
    project = visit.here
    candidates = list_candidates(project)
    measured = {(one.run, one.step) for one in candidates if one.likeness is not None}
    missing = [one for one in candidates if (one.run, one.step) not in measured]
    return visit.page(
        "_candidates.html", plot=plot_of(project, candidates), missing=missing,
        has_lora=bool(candidates), now=chosen_candidate(project), proposed=read_proposal(project),
        scores=_today(read_scores(project)), is_current=has_current_images(project), films=_films(project),
    )  # fmt: skip


@view("/p/{project}/choose/score", "POST")
def score(visit: Visit) -> Response:
    """Queue the measuring of what is not measured."""
    if not visit.studio.queue.current(visit.project_id, "candidates"):
        words = ["--seeds=1"] if visit.value("quick", "") else []
        visit.studio.queue.add(visit.here, "candidates", "judge", *words)
    return visit.notice("choose.queued")


@view("/p/{project}/choose/usual", "POST")
def shoot_usual(visit: Visit) -> Response:
    """Queue the report's images anew, with the LoRA that is chosen now."""
    if not visit.studio.queue.current(visit.project_id, "shoot"):
        visit.studio.queue.add(visit.here, "shoot", "shoot")
    return visit.notice("shoot.queued")


@view("/p/{project}/choose", "POST")
def choose(visit: Visit) -> Response:
    """Queue the choice of a candidate; the one before can be chosen again."""
    run, weight, step = (visit.value(name, "") for name in ("run", "weight", "step"))
    at = [f"--step={step}"] if step else []
    known = {(name, "" if at is None else str(at)) for name, at in loras_of_runs(visit.here)}
    if (run, step) not in known or run.startswith("-"):
        raise PackshotError(visit.t("choose.gone"))
    before = chosen_candidate(visit.here)
    visit.studio.queue.add(
        visit.here, "choose", "choose", run, f"--weight={weight}", *at,
        heavy=weight != "1" or bool(step),
    )  # fmt: skip
    undo = ""
    if before:
        former = "" if before[1] is None else f"&step={before[1]}"
        undo = f"/p/{visit.project_id}/choose?run={before[0]}&weight={before[2]:g}{former}"
    name = run_name(visit.t, run, int(step) if step else None)
    return visit.notice("choose.chosen", undo=undo, run=name, weight=weight)


def plot_of(project: Project, candidates: Sequence[Candidate]) -> Plot | None:
    """The measured candidates on a plot; None if none was measured."""
    measured = [(one, one.drift, one.likeness) for one in candidates]
    scored = [(one, x, y) for one, x, y in measured if x is not None and y is not None]
    if not scored:
        return None
    across = axis_of([x for _, x, _ in scored], _MARGIN, _WIDE - 20)
    up = axis_of([y for _, _, y in scored], _HIGH - _MARGIN, 20)
    points = [
        Point(
            one, across.at(x), up.at(y),
            tuple((shot.prompt, name_of(project, shot.file)) for shot in pictures_of(project, one)),
        )
        for one, x, y in scored
    ]  # fmt: skip
    lines: dict[str, list[Point]] = {}
    for point in points:
        lines.setdefault(point.candidate.origin, []).append(point)
    return Plot(tuple(points), tuple(map(_line, lines.values())), across.ticks(), up.ticks())


def _line(points: Sequence[Point]) -> Line:
    end = points[-1]
    side = "start" if end.x < _WIDE / 4 else "end" if end.x > 3 * _WIDE / 4 else "middle"
    return Line(" ".join(f"{point.x},{point.y}" for point in points), end, side)


def _today(scores: Sequence[Score]) -> dict[str, float]:
    names = {
        "likeness with the LoRA": "likeness",
        "likeness without it": "without",
        "class drift": "drift",
    }
    return {names[one.name]: one.value for one in scores if one.name in names}


def _films(project: Project) -> list[tuple[str, list[tuple[int, str, str]]]]:
    """Of each run, newest first: step, prompt and path of the first sample of each step."""
    films = []
    for run in reversed(project.runs()):
        found = {one.step: one for one in read_events(run) if isinstance(one, Sample)}
        shots = [
            (step, one.prompts[0], name_of(project, one.files[0]))
            for step, one in sorted(found.items())
            if one.files and one.files[0].is_file() and one.prompts
        ]
        if shots:
            films.append((run.name, shots))
    return films


def _pictures(project: Project) -> Iterable[Path]:
    return [shot.file for one in list_candidates(project) for shot in pictures_of(project, one)]


def _samples(project: Project) -> Iterable[Path]:
    return [
        file for run in project.runs() for one in read_events(run) if isinstance(one, Sample)
        for file in one.files if file.is_file()
    ]  # fmt: skip


SOURCES |= {"candidate": _pictures, "run-sample": _samples}
ROUTES = [show, listed, score, shoot_usual, choose]
