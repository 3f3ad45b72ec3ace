"""How often a run is evaluated, to know when it is done: as often as a bounded share of its time allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

HELD_OUT = 8
"""Examples of one evaluation: one of each eighth of the timesteps."""
TIME_SHARE = 0.05
"""The most of a run's time that evaluations take."""
MOST = 40
"""Evaluations of a whole recipe; more would tell no more."""
WINDOW_SHARE = 0.25
"""Of a run's evaluations: over how many the loss must have been still. None ends before a quarter."""
LEAST_WINDOW = 4
"""Of few evaluations that is more than a quarter, so a short run ends later than a long one, not earlier."""
VARIANCE = 0.15
"""Of the last evaluations against all: below it a run is done (arXiv 2302.04841, DreamBooth)."""


@dataclass(frozen=True)
class Evaluations:
    """What a plan says of them; `every` 0: there are none."""

    every: int
    window: int = LEAST_WINDOW
    variance: float = 0.0


def plan_evaluations(steps: int, step_seconds: float, seconds: float) -> Evaluations:
    """The evaluations of a run.

    Args:
        step_seconds: of one step.
        seconds: of one evaluation.
    """
    affordable = math.ceil(seconds / (TIME_SHARE * step_seconds)) if step_seconds else 1
    every = max(1, affordable, math.ceil(steps / MOST))
    window = max(LEAST_WINDOW, math.ceil(WINDOW_SHARE * steps / every))
    if steps // every <= window:
        return Evaluations(0)  # it would be over before anything could be told
    return Evaluations(every, window, VARIANCE)
