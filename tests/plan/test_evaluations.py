"""Evaluations cost at most their share, and a run that ends early has been looked at long enough."""

from hypothesis import given
from hypothesis import strategies as st

from packshot.plan.evaluations import (
    LEAST_WINDOW,
    MOST,
    TIME_SHARE,
    WINDOW_SHARE,
    Evaluations,
    plan_evaluations,
)


@given(
    st.integers(1, 10_000),
    st.floats(1e-3, 100, allow_nan=False),
    st.floats(0, 100, allow_nan=False),
)
def test_the_share_of_the_time_is_bounded_and_no_run_ends_before_a_quarter(steps, step, one):
    planned = plan_evaluations(steps, step, one)
    if not planned.every:
        return
    count = steps // planned.every
    assert count * one <= TIME_SHARE * steps * step * (1 + 1e-9)
    assert LEAST_WINDOW <= planned.window < count <= MOST
    assert planned.window * planned.every >= WINDOW_SHARE * steps


def test_too_short_a_run_is_not_evaluated():
    assert plan_evaluations(6, 1.0, 2.0) == Evaluations(0)
    assert plan_evaluations(6, 0.0, 0.0).every == 1
