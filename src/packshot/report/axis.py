"""The axes of plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_SPAN = 0.05
"""Of an axis: differences below it are not made to look large."""


@dataclass(frozen=True)
class Axis:
    """Where values lie between two ends of a picture."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value lies."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> tuple[tuple[float, float], ...]:
        """Round values on the axis."""
        rough = (self.high - self.low) / 4
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return tuple((n * step, self.at(n * step)) for n in range(first, last + 1))


def axis_of(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis that holds the values with room around them, and no less than 0 for them."""
    low, high = min(values), max(values)
    span = max(high - low, _LEAST_SPAN)
    least = (low + high) / 2 - 0.62 * span
    least = max(0.0, least) if low >= 0 else least
    return Axis(least, least + 1.24 * span, start, end)
