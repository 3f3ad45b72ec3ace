"""The loss curve as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from packshot.training.events import Evaluated, Event, Step

WIDTH, HEIGHT, MARGIN = 640, 220, 36


@dataclass(frozen=True)
class Line:
    """A curve's name and its SVG points, raw and smoothed."""

    name: str
    raw: str
    smooth: str


@dataclass(frozen=True)
class Curve:
    """What the template draws: lines, and the axes' ends."""

    lines: list[Line]
    lowest: float
    highest: float
    steps: int


def loss_curve(events: Sequence[Event]) -> Curve | None:
    """Losses of photos and of class images over the steps of a run, and of the held-out examples.

    None without steps.
    """
    steps = [event for event in events if isinstance(event, Step)]
    losses: dict[str, list[tuple[int, float | None]]] = {
        "photos": [(event.step, event.instance_loss) for event in steps],
        "class images": [(event.step, event.class_loss) for event in steps],
        "held out": [(event.step, event.loss) for event in events if isinstance(event, Evaluated)],
    }
    series = {
        name: [(step, loss) for step, loss in points if loss is not None and math.isfinite(loss)]
        for name, points in losses.items()
    }
    series = {name: points for name, points in series.items() if points}
    if not series:
        return None
    smooth = {
        name: points if name == "held out" else _smoothed(points)  # nothing in it is chance
        for name, points in series.items()
    }
    values = [value for points in smooth.values() for _, value in points]
    low, high, last = min(values), max(values), max(1, *(event.step for event in steps))
    span = (high - low) or 1.0
    low, high = max(0.0, low - 0.15 * span), high + 0.15 * span

    def path(points: Sequence[tuple[int, float]]) -> str:
        return " ".join(
            f"{MARGIN + (WIDTH - MARGIN) * step / last:.1f},"
            f"{(HEIGHT - MARGIN) * (1 - (min(max(value, low), high) - low) / (high - low)):.1f}"
            for step, value in points
        )

    lines = [Line(name, path(points), path(smooth[name])) for name, points in series.items()]
    return Curve(lines, low, high, last)


def _smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """A running mean over a twentieth of the run to each side."""
    reach = max(1, len(points) // 20)
    windows = (points[max(0, i - reach) : i + reach + 1] for i in range(len(points)))
    return [
        (step, sum(value for _, value in window) / len(window))
        for (step, _), window in zip(points, windows, strict=True)
    ]
