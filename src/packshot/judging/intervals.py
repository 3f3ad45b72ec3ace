"""How sure a mean is: bootstrap intervals, and which differences chance explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def interval(values: Sequence[float]) -> Interval:
    """The mean of values and its percentile bootstrap interval; always the same for the same values.

    One value alone has no interval that says anything: from minus to plus infinity.
    """
    from scipy import stats  # slow to load, and not needed to show what is measured

    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, -np.inf, np.inf)
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    found = stats.bootstrap(
        (np.asarray(values),), np.mean, confidence_level=CONFIDENCE, n_resamples=_RESAMPLES,
        method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(found.low), float(found.high))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """How much larger `ours` are, pair by pair (of the same prompts and seeds)."""
    return interval(np.subtract(ours, theirs).tolist())


def is_tie(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether chance explains the difference: its interval holds 0."""
    told = difference(ours, theirs)
    return told.low <= 0 <= told.high
