"""Threads: all of them on an idle machine, fewer where they are clearly faster."""

import pytest
import torch

from packshot.decisions import Decisions
from packshot.plan import calibration
from packshot.plan.cpu_threads import choose_cpu_threads, fastest_thread_count, load_if_busy
from packshot.project import create_project


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
    assert fastest_thread_count(lambda threads: seconds[threads], 8) == chosen


def test_one_thread_is_not_measured():
    assert fastest_thread_count(lambda threads: pytest.fail("measured"), 1) == 1


def test_what_is_settled_is_what_pytorch_uses(monkeypatch, tmp_path, tiny_base):
    used, measured = [], iter([2, 1])
    project = create_project(tmp_path / "p", name="x", class_noun="car")
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr(
        calibration, "choose_cpu_threads", lambda work: (next(measured), "the fastest")
    )
    assert calibration.threads_for(tiny_base, Decisions(project)) == 2 == used[-1]
    assert calibration.threads_for(tiny_base, Decisions(project)) == 2 == used[-1], "as settled"
    monkeypatch.setattr(calibration, "AVAILABLE", 64)
    assert calibration.threads_for(tiny_base, Decisions(project)) == 1, "another machine"


def test_the_threads_are_said_with_their_reason(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr("packshot.plan.cpu_threads.AVAILABLE", 4)
    monkeypatch.setattr(
        "packshot.plan.cpu_threads.fastest_thread_count", lambda seconds_with, most: most // 2
    )
    assert choose_cpu_threads(lambda: None) == (2, "faster than all 4: other programs compute, too")


@pytest.mark.parametrize(
    ("load", "words"),
    [(0.3, ""), (8.4, ""), (10.0, "load 10.0 on 8 cores"), (31.26, "load 31.3 on 8 cores")],
)
def test_a_machine_seems_busy_from_more_load_than_our_threads_make(monkeypatch, load, words):
    monkeypatch.setattr("psutil.getloadavg", lambda: (load, 99.0, 99.0))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert load_if_busy() == words


def test_training_uses_the_plans_threads(planned_project, tiny_base, monkeypatch):
    from packshot.plan import read_plan, write_plan
    from packshot.training import train

    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    plan = read_plan(planned_project.plan_file)
    plan = plan.model_copy(update={"cpu_threads": 3, "steps": 2, "sample_every_n_steps": 0})
    write_plan(plan, planned_project.plan_file)
    list(train(planned_project, tiny_base))
    assert asked == [3]
