"""What was measured of runs, of LoRAs from elsewhere and on other bases, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packshot.judging.candidate import (
    Candidate,
    Values,
    comparable,
    list_candidates,
    loras_of_runs,
    read_candidates,
)
from packshot.judging.candidates import Sources, score_candidates
from packshot.judging.choice import Choice
from packshot.judging.dreambooth import DreamBoothRow
from packshot.judging.intervals import Interval, interval
from packshot.judging.judge import Judge
from packshot.models.diffusion_model import DiffusionModel
from packshot.project import Project
from packshot.utils import hashing
from packshot.utils.progress import Progress, silent

MEASURES = {
    "identity": "likeness",
    "drift": "prediction drift",
    "prompt fidelity": "prompt fidelity",
    "copied background": "like a photo's background",
    "diversity": "diversity",
    "count": "products",
}
"""What a table shows, and what it is called there."""


@dataclass(frozen=True)
class Comparison:
    """What one judging found.

    Attributes:
        without: by the base's name, what was measured of pictures without a LoRA.
        dreambooth: rows of DreamBooth's table, by their names.
    """

    candidates: Sequence[Candidate]
    without: Mapping[str, Mapping[str, Values]]
    proposed: Choice | None = None
    dreambooth: Mapping[str, DreamBoothRow] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """The same as JSON takes it; intervals that one value alone has not are null."""
        proposed = self.proposed
        return {
            "candidates": [
                {
                    "name": one.name,
                    **_identified(one),
                    "embedder": one.embedder,
                    **_told(one.values),
                }
                for one in self.candidates
            ],
            "without": [{"base": base, **_told(found)} for base, found in self.without.items()],
            "proposed": proposed and {**_identified(proposed.candidate), "why": proposed.why},
            "dreambooth": {
                name: {key: value and _ends(value) for key, value in vars(row).items()}
                for name, row in self.dreambooth.items()
            },
        }


def score_on(
    judge: Judge,
    bases: Mapping[str, Callable[[], DiffusionModel]],
    weights: Sequence[float],
    sources: Sources,
    progress: Progress = silent,
) -> tuple[list[Candidate], dict[str, dict[str, Values]]]:
    """Measure LoRAs on other bases, by the same embedder; each base is loaded when it is its turn.

    The judge's own leaves the GPU for them; what it measures later it does with its networks in turn.

    Returns:
        The candidates, and by the base's name what was measured there without a LoRA.

    Raises:
        LoraError: a LoRA does not fit a base.
    """

    def measured(name: str, load: Callable[[], DiffusionModel]) -> None:
        other = judge.on(load(), name)
        found.extend(score_candidates(other, weights, sources, progress))
        without[name] = other.without

    found: list[Candidate] = []
    without: dict[str, dict[str, Values]] = {}
    for name, load in bases.items():
        judge.base.make_room()  # or its storage would be what fits beside the first, for good
        measured(name, load)  # which keeps no base
    return found, without


def compared_candidates(project: Project) -> list[Candidate]:
    """All that was measured as the last was, and is as it was.

    Of the runs, then from elsewhere and on other bases.
    """
    own = list_candidates(project)
    others = [
        one for one in _there(project, comparable(read_candidates(project))) if one not in own
    ]
    measured = (*own, *others)
    return [one for one in measured if one.values.get("identity") and one.values.get("drift")]


def left_out(project: Project) -> list[Candidate]:
    """What was measured, and cannot be compared with the last, which was by other photos, prompts, …"""
    measured = read_candidates(project)
    compared = comparable(measured)
    return [one for one in _there(project, measured) if one not in compared]


def _there(project: Project, measured: Sequence[Candidate]) -> list[Candidate]:
    """Of what was measured, what is of LoRAs that the runs still have, or that are from elsewhere."""
    runs = {run.name for run in project.runs()}
    known = {origin: hashing.known_sha256(file) for origin, file in loras_of_runs(project).items()}
    return [
        one
        for one in measured
        if one.run not in runs or known.get((one.run, one.step)) == one.sha256
    ]


def _identified(one: Candidate) -> dict[str, Any]:
    return {
        "run": one.run, "step": one.step, "weight": one.weight, "base": one.base,
        "sha256": one.sha256,
    }  # fmt: skip


def _told(values: Mapping[str, Values]) -> dict[str, Any]:
    return {
        "measures": {MEASURES.get(name, name): _ends(interval(own)) for name, own in values.items() if own},
        "values": {name: list(own) for name, own in values.items()},
    }  # fmt: skip


def _ends(told: Interval) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in vars(told).items()}
