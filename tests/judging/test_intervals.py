"""Intervals against their meaning: they hold the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats

from packshot.judging.intervals import difference, interval, is_tie


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    draw = np.random.default_rng(0)
    held = [
        (told := interval(draw.normal(3, 1, 24).tolist())).low <= 3 <= told.high for _ in range(200)
    ]
    assert 0.88 <= np.mean(held) <= 0.99  # a percentile bootstrap of few values is a little narrow


def test_they_are_near_students_and_always_the_same():
    values = np.random.default_rng(1).normal(0, 1, 200)
    low, high = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    told = interval(values.tolist())
    assert (told.low, told.high) == pytest.approx((low, high), abs=0.02)
    assert told == interval(values.tolist()) and told.mean == pytest.approx(values.mean())


def test_one_value_says_nothing_and_equal_ones_all():
    assert interval([0.5]).low == -np.inf and interval([0.5]).high == np.inf
    assert (interval([0.5] * 4).low, interval([0.5] * 4).high) == (0.5, 0.5)


def test_pairs_tell_what_means_do_not():
    base = np.random.default_rng(2).normal(0, 1, 12)
    better = base + 0.1 + np.random.default_rng(3).normal(0, 0.02, 12)
    assert not is_tie(better.tolist(), base.tolist())
    assert difference(better.tolist(), base.tolist()).mean == pytest.approx(0.1, abs=0.02)
    shuffled = np.random.default_rng(4).permutation(base)
    assert is_tie(better.tolist(), shuffled.tolist())
