"""The view of candidates: the plot, what is missing, and the choice."""

import re

import pytest

from packshot.judging.candidate import list_candidates
from packshot.judging.choice import Choice, keep_proposal
from packshot.utils import copying, files, hashing
from tests.studio.shop import measured, write_run, write_shot, write_step

RUN = "20260101-000000"


@pytest.fixture
def trained(project):
    write_run(project, RUN)
    return project


def scored(project, **scores):
    records = [measured(project, RUN, float(weight), *both) for weight, both in scores.items()]
    files.write_json(project.candidates_folder / "scores.json", records)


def test_before_any_training_it_leads_there(studio, at, project):
    assert "First the training" in studio.get(f"{at}/choose").text


def test_what_is_not_measured_is_told_and_can_be_queued_once(studio, at, trained):
    page = studio.get(f"{at}/choose/list").text
    assert "3 candidates are not measured yet" in page and "<svg" not in page
    for _ in range(2):
        studio.post(f"{at}/choose/score")
    (job,) = studio.studio.queue.jobs()
    assert job.arguments[0] == "judge" and job.heavy


def test_points_lie_by_their_scores(studio, at, trained):
    scored(trained, **{"0.6": (0.30, 0.02), "1.0": (0.40, 0.10)})
    page = studio.get(f"{at}/choose/list").text
    circles = re.findall(r'<circle class="reach" cx="([\d.]+)" cy="([\d.]+)"', page)
    (x, y), (x2, y2) = [(float(a), float(b)) for a, b in circles]
    assert x < x2 and y > y2  # more drift is right, more likeness is up
    ticks = re.findall(r'<text x="([\d.]+)" y="346"[^>]*>([\d.-]+)<', page)
    (a, va), (b, vb) = [(float(p), float(v)) for p, v in (ticks[0], ticks[-1])]
    assert x == pytest.approx(a + (0.02 - va) / (vb - va) * (b - a), abs=0.2)
    assert "not measured yet" not in page  # other weights are tried of the best alone


def test_where_there_are_several_loras_each_line_is_named(studio, at, trained):
    digest = write_step(trained, RUN, 10)
    of_step = dict(measured(trained, RUN, 1.0, 0.2, 0.05), step=10, sha256=digest)
    last = measured(trained, RUN, 1.0, 0.4, 0.1)
    name = r'<text x="[\d.]+" y="[\d.]+" text-anchor="(\w+)">2026-01-01, 00:00(, Step 10)?<'
    files.write_json(trained.candidates_folder / "scores.json", [last])
    assert re.findall(name, studio.get(f"{at}/choose/list").text) == []
    files.write_json(trained.candidates_folder / "scores.json", [of_step, last])
    found = re.findall(name, studio.get(f"{at}/choose/list").text)
    assert sorted(found) == [("end", ""), ("start", ", Step 10")]


def test_what_was_measured_by_other_photos_counts_as_not_measured(studio, at, trained):
    write_step(trained, RUN, 10)
    before = measured(trained, RUN, 1.0, 0.3, 0.1)
    digest = write_step(trained, RUN, 20)
    now = dict(before, step=20, sha256=digest, terms="now")
    files.write_json(trained.candidates_folder / "scores.json", [before, now])
    page = studio.get(f"{at}/choose/list").text
    assert page.count('class="reach"') == 1 and "Step 20 at weight 1" in page
    assert "3 candidates are not measured yet" in page


def test_an_axis_begins_at_nothing_at_the_least(studio, at, trained):
    scored(trained, **{"0.6": (0.5, 0.0), "1.0": (0.5, 0.001)})
    page = studio.get(f"{at}/choose/list").text
    assert not re.search(r'y="346"[^>]*>-', page)


def test_todays_choice_is_marked_and_another_is_queued_with_undo(studio, at, trained):
    scored(trained, **{"0.8": (0.3, 0.02), "1.0": (0.4, 0.1)})
    copying.copy(trained.runs_folder / RUN / trained.lora_file.name, trained.lora_file)
    page = studio.get(f"{at}/choose/list").text
    assert re.search(
        r'aria-label="Training 2026-01-01, 00:00 at weight 1: [^"]*\(today’s choice\)"', page
    )
    told = studio.post(f"{at}/choose", {"run": RUN, "weight": "0.8"})
    assert f"{at}/choose?run={RUN}&amp;weight=1" in told.text
    (job,) = studio.studio.queue.jobs()
    assert job.arguments[:3] == ("choose", RUN, "--weight=0.8")


def test_what_is_proposed_is_told_and_offered(studio, at, trained):
    scored(trained, **{"0.8": (0.3, 0.02), "1.0": (0.4, 0.1)})
    lighter = next(one for one in list_candidates(trained) if one.weight == 0.8)
    keep_proposal(trained, Choice(lighter, f"{RUN}, at 0.8 drifts least."))
    page = studio.get(f"{at}/choose/list").text
    assert "2026-01-01, 00:00, at 0.8 drifts least." in page
    assert page.count('name="weight" value="0.8"') == 2  # beside the sentence, and behind its point


def test_scores_of_the_lora_before_are_told_as_such(studio, at, trained):
    told = dict(name="class drift", value=0.123, embedder="e", higher_is_better=False, meaning="")
    files.write_json(trained.scores_file, [told])
    files.write_bytes(trained.lora_file, b"now")
    write_shot(trained, "with", 1, (("l", 1.0, "another's digest"),))
    page = studio.get(f"{at}/choose/list").text
    assert "chosen before" in page and "0.123" not in page
    write_shot(trained, "with", 2, (("l", 1.0, hashing.sha256(trained.lora_file)),))
    assert "0.123" in studio.get(f"{at}/choose/list").text
    studio.post(f"{at}/choose/usual")
    assert studio.studio.queue.jobs()[0].arguments[:2] == ("shoot", "--project")


def test_a_checkpoint_is_named_and_chosen_by_its_step(studio, at, trained):
    digest = write_step(trained, RUN, 10)
    told = dict(measured(trained, RUN, 1.0, 0.3, 0.1), step=10, sha256=digest)
    files.write_json(trained.candidates_folder / "scores.json", [told])
    page = studio.get(f"{at}/choose/list").text
    assert "Training 2026-01-01, 00:00, Step 10 at weight 1" in page
    assert '<input type="hidden" name="step" value="10">' in page
    studio.post(f"{at}/choose", {"run": RUN, "weight": "1", "step": "10"})
    (job,) = studio.studio.queue.jobs()
    assert job.arguments[:4] == ("choose", RUN, "--weight=1", "--step=10") and job.heavy
    answer = studio.post(f"{at}/choose", {"run": RUN, "weight": "1", "step": "--help"})
    assert answer.status_code == 422


@pytest.mark.parametrize("run", ["../kettle", "--help", "none"])
def test_what_is_no_run_is_refused(studio, at, trained, run):
    answer = studio.post(f"{at}/choose", {"run": run, "weight": "1"})
    assert answer.status_code == 422 and studio.studio.queue.jobs() == []


def test_samples_are_shown_by_step(studio, at, trained):
    page = studio.get(f"{at}/choose/list").text
    assert "Step 10" in page and "Step 20" in page
    (name, _) = re.findall(r"pictures/run-sample/(\S+)\?w", page)
    assert studio.get(f"{at}/pictures/run-sample/{name}").status_code == 200


def test_a_training_that_has_not_ended_is_a_candidate_by_what_it_has_kept(studio, at, project):
    files.write_text(project.runs_folder / RUN / "plan.toml", "")
    assert "Nothing to compare yet" in studio.get(f"{at}/choose/list").text
    for step in (10, 20):
        write_step(project, RUN, step)
    page = studio.get(f"{at}/choose/list").text
    assert "3 candidates are not measured yet" in page and "00:00, Step 20 · 0.6" in page
    studio.post(f"{at}/choose/score", {"quick": "1"})
    studio.post(f"{at}/choose", {"run": RUN, "weight": "1", "step": "10"})
    assert [job.arguments[:-2] for job in studio.studio.queue.jobs()] == [
        ("judge", "--seeds=1"), ("choose", RUN, "--weight=1", "--step=10"),
    ]  # fmt: skip
    refused = studio.post(f"{at}/choose", {"run": RUN, "weight": "1"})
    assert refused.status_code == 422  # it has no end yet
