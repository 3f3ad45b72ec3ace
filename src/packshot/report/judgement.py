"""What the judge found, as plots: likeness by step, and likeness against prediction drift with pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from packshot.judging.candidate import Candidate, chosen_candidate, pictures_of
from packshot.judging.choice import read_proposal
from packshot.judging.comparison import MEASURES, compared_candidates, left_out
from packshot.judging.intervals import Interval, interval
from packshot.project import Project
from packshot.report.axis import Axis, axis_of
from packshot.report.pictures import thumbnail
from packshot.training.runs import finished

WIDTH, HEIGHT, MARGIN = 640, 300, 48
SHOWN = 4
"""Pictures of each candidate."""
_STAMP = 88
"""Pixels of the pictures that lie behind points."""


def judgement(project: Project) -> dict[str, Any] | None:
    """The facts of the report's part; None if nothing was measured."""
    measured = compared_candidates(project)
    if not measured:
        return None
    likeness = [_bounded(interval(one.values["identity"])) for one in measured]
    up = axis_of([end for one in likeness for end in (one.low, one.high)], HEIGHT - MARGIN, 12)
    proposal = read_proposal(project)
    return {
        "by_step": _by_step(project, measured, up),
        "by_drift": _by_drift(project, measured, up),
        "bases": [base or project.settings.base for base in _bases(measured)],
        "up": up.ticks(),
        "proposed": proposal.why if proposal else "",
        "is_chosen": proposal is not None
        and chosen_candidate(project) == proposal.candidate.place[:3],
        "embedder": measured[-1].embedder,
        "left_out": len(left_out(project)),
        "measures": list(MEASURES.values()),
        "rows": [_row(project, one) for one in measured],
    }


def _bases(measured: Sequence[Candidate]) -> list[str]:
    """The bases that made pictures, the project's own, "", first."""
    return list(dict.fromkeys(["", *(one.base for one in measured)]))


def _by_step(project: Project, measured: Sequence[Candidate], up: Axis) -> dict[str, Any]:
    """Points of the runs' steps at their highest weight, with their intervals as lines."""
    names = {run.name for run in project.runs()}
    own = [one for one in measured if one.run in names and not one.base]
    points = [
        (one.run, _step(project, one), interval(one.values["identity"]))
        for one in own
        if one.weight == max(other.weight for other in own)
    ]
    across = axis_of([0.0, *(float(step) for _, step, _ in points)], MARGIN, WIDTH - 16)
    lines: dict[str, list[str]] = {}
    for run, step, told in sorted(points, key=lambda point: point[:2]):
        lines.setdefault(run, []).append(f"{across.at(step)},{up.at(told.mean)}")
    return {
        "lines": [" ".join(line) for line in lines.values()],
        "points": [
            _point(across.at(step), told, up) | {"text": f"{run}, step {step}: likeness {told}"}
            for run, step, told in points
        ],
        "across": [(f"{value:g}", x) for value, x in across.ticks()],
    }


def _by_drift(project: Project, measured: Sequence[Candidate], up: Axis) -> dict[str, Any]:
    """Points by prediction drift, each before one of its pictures."""
    drifts = [interval(one.values["drift"]).mean for one in measured]
    across, bases = axis_of(drifts, MARGIN, WIDTH - 16), _bases(measured)
    points = []
    for one, drift in zip(measured, drifts, strict=True):
        told, shots = interval(one.values["identity"]), pictures_of(project, one)
        shown = thumbnail(project.root, shots[0].file, shots[0].prompt, _STAMP) if shots else None
        text = f"{one.name}: likeness {told}, prediction drift {drift:.3f}"
        point = _point(across.at(drift), told, up) | {"picture": shown, "text": text}
        points.append(point | {"base": bases.index(one.base) % 3})
    return {"points": points, "across": [(f"{value:.2f}", x) for value, x in across.ticks()]}


def _bounded(told: Interval) -> Interval:
    """An interval that a picture can show: of one value alone there is none."""
    return (
        told if math.isfinite(told.low + told.high) else Interval(told.mean, told.mean, told.mean)
    )


def _point(x: float, told: Interval, up: Axis) -> dict[str, Any]:
    told = _bounded(told)
    return {"x": x, "y": up.at(told.mean), "low": up.at(told.low), "high": up.at(told.high)}


def _step(project: Project, one: Candidate) -> int:
    """The step of a candidate, of a run's end its last; 0 if nobody knows."""
    if one.step is not None:
        return one.step
    done = finished(project.runs_folder / one.run)
    return done.step if done else 0


def _row(project: Project, one: Candidate) -> dict[str, Any]:
    return {
        "name": one.name,
        "origin": one.origin,
        "weight": f"{one.weight:g}" + f" on {one.base}" * bool(one.base),
        "values": [one.interval(name) for name in MEASURES],
        "pictures": [
            thumbnail(project.root, shot.file, shot.prompt)
            for shot in pictures_of(project, one)[:SHOWN]
        ],
    }
