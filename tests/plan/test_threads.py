"""Threads: all of them on an idle machine, fewer where they are clearly faster."""

import pytest
import torch

from packshot.plan.threads import fastest, settle_threads


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({8: 1.0, 4: 1.9, 1: 6.0}, 8),  # idle
        ({8: 9.0, 4: 2.0, 1: 6.0}, 4),  # half of it is busy
        ({8: 60.0, 4: 40.0, 1: 6.0}, 1),
        ({8: 1.0, 4: 0.9, 1: 6.0}, 8),  # not clearly faster
    ],
)
def test_fewer_threads_where_they_are_clearly_faster(seconds, chosen):
    assert fastest(lambda threads: seconds[threads], 8) == chosen


def test_one_thread_is_not_measured():
    assert fastest(lambda threads: pytest.fail("measured"), 1) == 1


def test_what_is_settled_is_what_pytorch_uses(monkeypatch):
    used = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[-1])
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr("packshot.plan.threads.fastest", lambda seconds_with, most: most // 2)
    assert settle_threads(torch.device("cpu"), lambda: None) == 2 == used[-1]
    assert settle_threads(torch.device("cuda"), lambda: None) == 0


def test_training_uses_the_plans_threads(planned_project, tiny_base, monkeypatch):
    from packshot.plan import read_plan, write_plan
    from packshot.training import train

    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    plan = read_plan(planned_project.plan_file)
    plan = plan.model_copy(update={"threads": 3, "steps": 2, "sample_every": 0})
    write_plan(plan, planned_project.plan_file)
    list(train(planned_project, tiny_base))
    assert asked == [3]
