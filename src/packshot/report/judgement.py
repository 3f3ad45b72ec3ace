"""What the judge found, as plots: likeness by step, and likeness against class drift with pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packshot.judging.candidate import Candidate, list_candidates, pictures_of
from packshot.judging.choice import read_proposal
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
    measured = [
        one
        for one in list_candidates(project)
        if one.values.get("identity") and one.values.get("drift")
    ]
    if not measured:
        return None
    likeness = [_bounded(interval(one.values["identity"])) for one in measured]
    up = axis_of([end for one in likeness for end in (one.low, one.high)], HEIGHT - MARGIN, 12)
    return {
        "by_step": _by_step(project, measured, up),
        "by_drift": _by_drift(project.root, measured, up, project),
        "up": up.ticks(),
        "proposed": proposal.why if (proposal := read_proposal(project)) else "",
        "embedder": measured[-1].embedder,
        "rows": [_row(project, one) for one in measured],
    }


def _by_step(project: Project, measured: Sequence[Candidate], up: Axis) -> dict[str, Any]:
    """Points of the runs' steps at their highest weight, with their intervals as lines."""
    points = [
        (one.run, _step(project, one), interval(one.values["identity"]))
        for one in measured
        if one.weight == max(other.weight for other in measured)
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


def _by_drift(
    root: Path, measured: Sequence[Candidate], up: Axis, project: Project
) -> dict[str, Any]:
    """Points by class drift, each before one of its pictures."""
    drifts = [interval(one.values["drift"]).mean for one in measured]
    across = axis_of(drifts, MARGIN, WIDTH - 16)
    points = []
    for one, drift in zip(measured, drifts, strict=True):
        told, shots = interval(one.values["identity"]), pictures_of(project, one)
        shown = thumbnail(root, shots[0].file, shots[0].prompt, _STAMP) if shots else None
        point = _point(across.at(drift), told, up)
        points.append(
            point | {"picture": shown, "text": f"{one.name}: likeness {told}, drift {drift:.3f}"}
        )
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
    names = ("identity", "drift", "prompt fidelity", "copied background", "diversity", "count")
    return {
        "name": one.name,
        "origin": one.origin,
        "weight": f"{one.weight:g}",
        "values": [one.interval(name) for name in names],
        "pictures": [
            thumbnail(project.root, shot.file, shot.prompt)
            for shot in pictures_of(project, one)[:SHOWN]
        ],
    }
