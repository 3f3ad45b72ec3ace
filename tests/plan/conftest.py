"""What tests of planning share: costs that are set instead of measured."""

import pytest

from packshot.plan import planner, run_cost
from packshot.plan.calibration import StepCost
from packshot.plan.evaluations import Evaluations


def cost(launch=0.0, picture=0.5, most=100, encode=0.0, resident=2**20, checkpointing=False):
    return StepCost(launch, picture, encode, resident, 1000, 2**20, most, checkpointing)


@pytest.fixture
def costs(monkeypatch):
    """Steps cost a second at 64 px and less at smaller sizes; nothing else costs anything.

    Returns a function that sets the cost of a step, and of a shot, otherwise.
    """

    def set_to(step, shot=0.0, closing=0.0):
        monkeypatch.setattr(run_cost, "step_cost", lambda base, decisions, **asked: step(**asked))
        monkeypatch.setattr(run_cost, "shot_seconds", lambda base, decisions: shot)
        for module in (planner, run_cost):
            monkeypatch.setattr(module, "threads_for", lambda base, decisions: 1)
        monkeypatch.setattr(run_cost, "CLOSING_SECONDS", closing)
        monkeypatch.setattr(run_cost.evaluations, "TIME_SHARE", 0.0)
        monkeypatch.setattr(run_cost, "plan_evaluations", lambda *_: Evaluations(0))

    set_to(lambda pixels, batch, **_: cost(picture=pixels**2 / 64**2 / batch))
    return set_to
