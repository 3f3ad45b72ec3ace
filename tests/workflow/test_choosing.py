"""A run's choice of checkpoint and weight: made once, told, kept by later starts, and a person's above it."""

import pytest

from packshot.judging.candidate import chosen_candidate, loras_of_runs, read_candidates
from packshot.judging.chosen import choose_candidate
from packshot.judging.effort import EFFORTS, QUICK, THOROUGH, JudgingCost, effort_within
from packshot.lora import load_lora
from packshot.plan import load_base
from packshot.project import Project
from packshot.training import Step, train
from packshot.training.chosen import read_chosen
from packshot.utils import hashing, reading
from tests import walking
from tests.captioners import make_clip
from tests.projects import edit
from tests.walking import Listener, make_case, walk


@pytest.fixture
def case(tmp_path, tiny_sd1, monkeypatch):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "no segmenters"))
    walking.made_quick(monkeypatch.setattr)
    make_clip(tmp_path / "clip")
    return make_case(tmp_path, tiny_sd1)


def walked(case, heard=None, **words):
    return walk(case, heard, embedder=str(case / "clip"), **words)


def used_in_shots(project):
    records = [reading.read_json(file) for file in (project.shots_folder / "with").glob("*.json")]
    return {digest for record in records for _, _, digest in record["loras"]}


@pytest.mark.slow
def test_the_chosen_checkpoint_at_its_weight_is_what_all_that_follows_uses(case):
    heard = Listener()
    project = walked(case, heard).project
    decided = reading.read_toml(project.decisions_file)["chosen"][-1]
    (run,) = project.runs()
    last = len([event for event in heard.events if event == "Step"])
    step, weight = decided["value"]["step"], decided["value"]["weight"]
    assert chosen_candidate(project) == (run.name, None if step == last else step, weight)
    measured = read_candidates(project)
    assert {(one.run, one.weight) for one in measured} >= {(run.name, w) for w in (0.6, 0.8, 1.0)}
    base = load_base.load_project_base(project)
    source = loras_of_runs(project)[run.name, None if step == last else step]
    learnt, made = load_lora(source, base), load_lora(project.lora_file, base)
    name = next(iter(learnt.weights))
    expected = weight * learnt.weights[name].delta()
    assert made.weights[name].delta().numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert used_in_shots(project) == {hashing.sha256(project.lora_file)}
    assert f"chosen: {decided['reason']}" in heard.said
    page = project.report_file.read_text()
    assert f"The project&#39;s LoRA: {run.name}" in page
    card = (project.lora_folder / "README.md").read_text()
    assert f"at weight {weight:g}. The weight is folded in" in card or (step, weight) == (last, 1.0)
    assert walked(case).was_complete

    lora, heard = project.lora_file.read_bytes(), Listener()
    walked(case, heard, images_per_prompt=3)
    assert project.lora_file.read_bytes() == lora
    assert "candidates" not in {what for what, _, _ in heard.made}, "it was chosen once for all"
    list(train(project, base))
    assert project.lora_file.read_bytes() == lora, "training that has ended leaves the choice"
    walked(case, choose=False)
    assert project.lora_file.read_bytes() == (run / project.lora_file.name).read_bytes()


@pytest.mark.slow
def test_without_choosing_it_is_the_end_and_what_a_person_chose_stays(case):
    project = walked(case, choose=False).project
    (run,) = project.runs()
    assert chosen_candidate(project) == (run.name, None, 1.0) and not read_candidates(project)
    choose_candidate(project, run.name, 0.7, lambda: load_base.load_project_base(project))
    lora, heard = project.lora_file.read_bytes(), Listener()
    walked(case, heard, images_per_prompt=3)
    assert project.lora_file.read_bytes() == lora
    assert used_in_shots(project) >= {hashing.sha256(project.lora_file)}
    walked(case, choose=True)
    assert project.lora_file.read_bytes() == lora and not read_candidates(project)
    choose_candidate(project, run.name, 1.0, lambda: pytest.fail("no base is needed"))
    walked(case, choose=False)
    assert chosen_candidate(project) == (run.name, None, 1.0)


@pytest.mark.slow
def test_a_persons_choice_of_another_run_stays_until_something_is_trained(case):
    walked(case, choose=False)
    project = walked(case, choose=False, seed=3).project
    former, latter = (run.name for run in project.runs())
    choose_candidate(project, former, 1.0, lambda: pytest.fail("no base is needed"))
    walked(case, choose=True, images_per_prompt=3)
    assert chosen_candidate(project) == (former, None, 1.0) and not read_candidates(project)
    list(train(project, load_base.load_project_base(project)))
    assert chosen_candidate(project) == (former, None, 1.0)
    assert used_in_shots(project) >= {hashing.sha256(project.lora_file)}
    walked(case, choose=False, seed=4)
    assert chosen_candidate(project) == (project.runs()[-1].name, None, 1.0)
    assert latter != project.runs()[-1].name


class Planner(Listener):
    """Plans for more steps while training is under way, as another process may."""

    def __init__(self, project):
        super().__init__()
        self._project = project

    def event(self, event):
        super().event(event)
        if isinstance(event, Step) and event.step == 1:
            edit(self._project, steps=event.steps + 1)


@pytest.mark.slow
def test_a_plan_that_is_made_meanwhile_is_the_next_starts(case):
    heard = Planner(Project(case / "project"))
    project = walked(case, heard).project
    (run,) = project.runs()
    assert chosen_candidate(project)[0] == run.name and read_chosen(project).is_automatic
    assert any(text.startswith("plan.toml was changed while") for text in heard.said)
    assert not walked(case, Listener(stop_after=1)).was_complete
    assert len(project.runs()) == 2


@pytest.mark.slow
def test_where_there_is_no_time_the_end_is_taken_and_it_is_said(case, monkeypatch):
    monkeypatch.setattr("packshot.workflow.choosing.TIME_SHARE", 0.0)
    heard = Listener()
    project = walked(case, heard).project
    assert chosen_candidate(project) == (project.runs()[0].name, None, 1.0)
    said = [text for text in heard.said if text.startswith("the LoRA is taken as training ends it")]
    assert len(said) == 1 and "more than 0% of the time budget" in said[0]
    assert not read_candidates(Project(case / "project"))


def test_the_most_thorough_effort_that_fits_is_taken():
    cost = JudgingCost(making=1.0, looking=0.5, drift=0.25)
    candidates, pictures = 4 + 2 * 2, 9 * 12
    seconds = pictures * 1.5 + 20 * 0.5 + (candidates + 1) * 0.25
    assert cost.seconds(THOROUGH, 4, 3, 20) == pytest.approx(seconds)
    assert effort_within(cost, seconds, 4, 3, 20) is THOROUGH
    assert effort_within(cost, seconds - 0.1, 4, 3, 20) is QUICK
    assert effort_within(cost, 1.0, 4, 3, 20) is None
    times = [cost.seconds(one, 4, 3, 20) for one in EFFORTS]
    assert times == sorted(times, reverse=True)
