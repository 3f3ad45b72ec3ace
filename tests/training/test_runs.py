"""Which run is whose: the plan's own, a new one, one that was never begun; and whose LoRA is replaced."""

import json
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest

from packshot.errors import OverwriteError
from packshot.plan import write_plan
from packshot.plan.config import Asked, Estimate
from packshot.training import runs, train
from packshot.training.events import Done, Step, as_record
from packshot.training.runs import current_run, finished, open_run, run_of
from packshot.utils import in_place, overwriting
from tests.projects import edit
from tests.training.test_dataset import planned


@pytest.fixture
def clock(monkeypatch):
    """All happens within one second."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(runs, "datetime", Stopped)


def begun(project, **changes):
    """A project's plan and the run that carries it out."""
    plan = planned(**changes)
    write_plan(plan, project.plan_file)
    return plan, open_run(project, plan)


def test_a_plan_has_one_run_whatever_was_predicted_or_asked(project, clock):
    plan, run = begun(project)
    assert run.name == "20260102-030405" and run_of(project, plan) == run
    cheaper = Estimate(seconds=9, bytes=9, class_images_seen=9, seconds_per_step=9)
    same = plan.model_copy(update={"estimate": cheaper, "asked": Asked(time_budget="1h")})
    assert open_run(project, same) == run
    assert run_of(project, planned(seed=1)) is None


def test_runs_of_one_second_have_names_of_their_own(project, clock):
    made = [begun(project, seed=seed)[1].name for seed in range(3)]
    assert made == ["20260102-030405", "20260102-030405-1", "20260102-030405-2"]
    assert begun(project, seed=1)[1].name == made[1]


def test_what_a_killed_start_left_is_cleared_and_nothing_else(project, clock):
    empty, half, other = (project.runs_folder / name for name in ("1", "2", "3"))
    for folder in (empty, half, other):
        folder.mkdir(parents=True)
    (half / ".plan.toml.1x.part").write_text("steps")
    (other / "notes.txt").write_text("mine")
    (project.runs_folder / "a file").write_text("mine")
    begun(project)
    left = {path.name for path in project.runs_folder.iterdir()}
    assert left == {"3", "a file", "20260102-030405"} and (other / "notes.txt").exists()


def test_the_current_run_is_the_plans_or_else_the_newest(project, clock):
    assert current_run(project) is None
    _, first = begun(project)
    _, second = begun(project, seed=1)
    assert current_run(project) == second
    write_plan(planned(), project.plan_file)
    assert current_run(project) == first
    write_plan(planned(seed=2), project.plan_file)
    assert current_run(project) == second
    project.plan_file.unlink()
    assert current_run(project) == second


@pytest.mark.parametrize("words", ["steps = 0", "batch = 4", "steps ="])
def test_a_run_whose_plan_makes_no_sense_is_nobodys(project, clock, words):
    plan, run = begun(project)
    (run / "plan.toml").write_text(words)
    assert run_of(project, plan) is None
    assert current_run(project) == run


def test_a_run_is_finished_by_its_closing_event(project, clock):
    _, run = begun(project)
    assert finished(run) is None
    log = run / "events.jsonl"
    events = [Step(1, 2, 0.5, 0.5, None, 1e-4, 1.0), *(done(step) for step in (1, 2))]
    in_place.append_line(log, json.dumps(as_record(events[0], run)))
    assert finished(run) is None
    for event in events[1:]:
        in_place.append_line(log, json.dumps(as_record(event, run)))
    assert finished(run).step == 2
    with log.open("a") as file:
        file.write('{"kind": "do')  # killed while writing
    assert finished(run).step == 2


def done(step):
    return Done(step, 1.0, 1, Path("a"), Path("b"))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
def test_a_lora_that_a_person_placed_in_the_project_is_not_replaced(
    planned_project, tiny_base, when
):
    edit(planned_project, sample_every_n_steps=0)
    place = planned_project.diffusers_lora_file
    if when == "after":
        list(train(planned_project, tiny_base))
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    events = train(planned_project, tiny_base)
    if when == "meanwhile":
        assert Step in map(type, islice(events, 20))
    place.write_bytes(b"a LoRA of somebody else's")
    with pytest.raises(OverwriteError, match="was not written by Packshot, or was changed since"):
        list(events)
    assert place.read_bytes() == b"a LoRA of somebody else's"
    assert len(planned_project.runs()) == (when != "before"), "it is said before hours are spent"
    place.rename(place.with_suffix(".mine"))
    again = list(train(planned_project, tiny_base))
    assert isinstance(again[-1], Done) and any(isinstance(event, Step) for event in again) == (
        when == "before"
    )
    assert place.samefile(planned_project.runs()[-1] / place.name)


@pytest.mark.slow
def test_loras_of_before_there_was_a_record_are_known_by_their_runs(planned_project, tiny_base):
    edit(planned_project, sample_every_n_steps=0)
    list(train(planned_project, tiny_base))
    before = planned_project.lora_file.read_bytes()
    (planned_project.lora_folder / overwriting.RESULTS).unlink()
    edit(planned_project, seed=1)
    list(train(planned_project, tiny_base))
    assert planned_project.lora_file.read_bytes() != before
