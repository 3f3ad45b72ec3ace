"""What is planned within a time budget, and when it is refused."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packshot.decisions import Decisions
from packshot.errors import TimeBudgetError
from packshot.plan import (
    Budget,
    budget_fit,
    calibration,
    class_images_within,
    make_plan,
    planner,
    read_reasons,
    run_cost,
)
from tests.plan.conftest import cost


def training(seconds):
    return Budget.of_training(seconds)


@pytest.fixture
def step_seconds(monkeypatch):
    """Seconds that a step takes when it is next measured; nothing else takes any."""
    seconds = []
    monkeypatch.setattr(
        calibration, "calibrate", lambda base, batch, **_: cost(picture=seconds[0] / batch)
    )
    monkeypatch.setattr(calibration, "threads_for", lambda base, decisions: 1)
    for module in (planner, run_cost):
        monkeypatch.setattr(module, "threads_for", lambda base, decisions: 1)
    monkeypatch.setattr(run_cost, "shot_seconds", lambda base, decisions: 0.0)
    monkeypatch.setattr(budget_fit, "load_if_busy", lambda: "")
    return seconds


def test_exposures_give_way_before_the_size(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base, budget=training(300))
    assert (plan.steps, plan.resolution) == (300, 64)
    assert plan.estimate.seconds <= 300


def test_then_the_size_gives_way(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base, budget=training(100))
    assert plan.resolution == 48 and plan.estimate.seconds <= 100
    assert "to fit the time" in read_reasons(ready_project.plan_file)["resolution"]


def test_too_small_a_budget_names_the_least(ready_project, tiny_base, costs):
    with pytest.raises(TimeBudgetError, match=r"10 s are too few.* 150 steps\. Give 38s or more"):
        make_plan(ready_project, tiny_base, budget=training(10))
    assert make_plan(ready_project, tiny_base, budget=training(38)).steps >= 150
    plan = make_plan(ready_project, tiny_base, budget=training(10), least_at_least=True)
    assert (plan.steps, plan.resolution) == (150, 32), "what was agreed to is begun all the same"


@pytest.mark.parametrize("ask", [make_plan, class_images_within])
def test_a_speed_that_leads_to_a_refusal_is_measured_anew_at_the_next_start(
    ready_project, tiny_base, step_seconds, ask
):
    book, budget = Decisions(ready_project), training(300)
    book.settle("photo_seconds", {}, lambda: (9.0, "measured while it was busy"))
    book.settle("captioner", {}, lambda: ("blip", "installed"))
    step_seconds[:] = [50.0]
    with pytest.raises(TimeBudgetError, match=r"busy just now, run the same command again: its"):
        ask(ready_project, tiny_base, budget=budget)
    assert book.latest("step_cost") is book.latest("photo_seconds") is None
    assert book.latest("captioner").value == "blip", "which no speed decided"
    step_seconds[:] = [0.1]
    assert ask(ready_project, tiny_base, budget=budget)
    step_seconds[:] = [50.0]
    assert ask(ready_project, tiny_base, budget=budget), "what led to a plan is kept"


@pytest.mark.parametrize("ask", [make_plan, class_images_within])
def test_a_budget_is_refused_only_by_speeds_that_were_measured_twice(
    ready_project, tiny_base, monkeypatch, ask
):
    busy_then_free, asked = [50.0, 50.0, 50.0], []

    def measured(pixels, **_):
        asked.append(pixels)
        return cost(picture=busy_then_free.pop() if busy_then_free else 0.1)

    monkeypatch.setattr(calibration, "calibrate", lambda base, **settings: measured(**settings))
    assert ask(ready_project, tiny_base, budget=training(300))
    assert asked == [64, 48, 32, 64], "every size once, then what is fast enough by now"


def test_a_refusal_says_that_the_machine_seems_busy(ready_project, tiny_base, costs, monkeypatch):
    monkeypatch.setattr(budget_fit, "load_if_busy", lambda: "load 5.0 on 2 cores")
    with pytest.raises(
        TimeBudgetError, match=r"busy \(load 5\.0 on 2 cores\)\. Run .* is free: its"
    ):
        make_plan(ready_project, tiny_base, budget=training(10))


def test_shots_and_what_else_comes_after_are_left_time_for(ready_project, tiny_base, costs):
    costs(lambda **_: cost(picture=0.25), shot=0.4)
    alone = make_plan(ready_project, tiny_base, budget=training(300))
    busy = Budget(300, lambda: 300, shots_after=100, seconds_after=5)
    assert alone.steps - make_plan(ready_project, tiny_base, budget=busy).steps == pytest.approx(
        (100 * 0.4 + 5) / 0.5, abs=1
    )


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.floats(1, 5000), launch=st.floats(0, 0.5), picture=st.floats(0.001, 1),
    shot=st.floats(0.01, 5), encode=st.floats(0, 0.2), spent=st.floats(0, 60),
    after=st.integers(0, 60), smaller=st.floats(0.1, 1),
)  # fmt: skip
def test_the_least_budget_that_is_named_is_one_that_works(
    ready_project, tiny_base, costs, whole, launch, picture, shot, encode, spent, after, smaller
):
    """For any machine and any budget: either all fits, or the budget that is named does."""
    costs(
        lambda pixels, **_: cost(launch, picture * (1 if pixels == 64 else smaller), encode=encode),
        shot=shot,
        closing=1.0,
    )

    def within(seconds, spent):
        budget = Budget(seconds, lambda: seconds - spent, after, 1.0)
        count = class_images_within(ready_project, tiny_base, budget)
        left = seconds - spent - count * shot
        budget = Budget(seconds, lambda: left, after, 1.0)
        plan = make_plan(ready_project, tiny_base, budget=budget)
        used = spent + (count + after) * shot + 1.0 + plan.estimate.seconds
        assert used <= seconds + 0.1
        return plan

    try:
        within(whole, spent)
    except TimeBudgetError as error:
        named = float(str(error).split("Give ")[1].split("s or more")[0])
        assert named > whole
        within(named, spent)
        with pytest.raises(TimeBudgetError):
            within(0.9 * named - 5, spent)


def test_a_budget_counts_what_is_spent_only_when_it_is_asked(ready_project, tiny_base, costs):
    """Measuring takes time, too: it is over when what is left is asked for."""
    clock = SimpleNamespace(left=1000.0)

    def measured(**_):
        clock.left = 300.0
        return cost()

    costs(measured)
    plan = make_plan(ready_project, tiny_base, budget=Budget(1000, lambda: clock.left))
    assert plan.estimate.seconds <= 300
