"""The loss curve's numbers, against numpy's."""

import math

import numpy as np
import pytest

from packshot.report.loss_curve import HEIGHT, MARGIN, WIDTH, loss_curve
from packshot.training.events import Step, Stopped


def steps(photos, others=None):
    others = others or [None] * len(photos)
    return [
        Step(step, len(photos), 0.5, photo, other, 1e-4, 1.0)
        for step, (photo, other) in enumerate(zip(photos, others, strict=True), start=1)
    ]


def points(path):
    return np.array([[float(v) for v in point.split(",")] for point in path.split()])


@pytest.mark.parametrize(
    "events",
    [[], [Stopped(1)], steps([None, None]), steps([math.nan, math.inf])],
)
def test_without_losses_there_is_no_curve(events):
    assert loss_curve(events) is None


def test_a_curve_lies_where_its_losses_do():
    losses = list(np.random.default_rng(0).uniform(0.1, 1, 100))
    curve = loss_curve([Stopped(100), *steps(losses)])
    assert [line.name for line in curve.lines] == ["photos"] and curve.steps == 100
    means = np.array([np.mean(losses[max(0, i - 5) : i + 6]) for i in range(100)])
    span = means.max() - means.min()
    assert curve.highest == pytest.approx(means.max() + 0.15 * span)
    assert curve.lowest == pytest.approx(max(0, means.min() - 0.15 * span))
    smooth = points(curve.lines[0].smooth)
    across = MARGIN + (WIDTH - MARGIN) * np.arange(1, 101) / 100
    share = (means - curve.lowest) / (curve.highest - curve.lowest)
    assert np.allclose(smooth, np.stack([across, (HEIGHT - MARGIN) * (1 - share)], 1), atol=0.051)


def test_no_point_leaves_the_picture():
    curve = loss_curve(steps([0.1] * 30 + [1e9] + [0.1] * 30, [0.0] * 61))
    for line in curve.lines:
        for path in (line.raw, line.smooth):
            drawn = points(path)
            assert drawn[:, 0].min() >= MARGIN and drawn[:, 0].max() <= WIDTH
            assert drawn[:, 1].min() >= 0 and drawn[:, 1].max() <= HEIGHT - MARGIN


@pytest.mark.parametrize("losses", [[0.5], [0.5] * 10, [0.0]])
def test_one_step_or_losses_all_alike_are_a_curve(losses):
    curve = loss_curve(steps(losses))
    assert curve.lowest < curve.highest and len(points(curve.lines[0].raw)) == len(losses)


def test_steps_without_a_picture_of_a_kind_leave_a_gap():
    curve = loss_curve(steps([0.5, None, 0.5], [None, 0.4, None]))
    photos, others = (points(line.raw)[:, 0] for line in curve.lines)
    assert len(photos) == 2 and len(others) == 1 and photos[0] < others[0] < photos[1]
