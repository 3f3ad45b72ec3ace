"""The judge's plots: points lie where their numbers do, with the pictures that they are of."""

import re
from dataclasses import asdict, replace

import pytest

from packshot.generation.generate import GeneratedImage, write_record
from packshot.judging.candidate import Candidate, folder_of, read_candidates, write_candidate
from packshot.judging.choice import Choice, keep_proposal
from packshot.report.judgement import judgement
from packshot.report.page import write_report
from packshot.training.events import Done, as_record, log_of
from packshot.training.runs import checkpoint_file
from packshot.utils import copying, files, hashing
from tests.report.test_page import noise

RUN = "20260101-000000"


@pytest.fixture
def judged(project):
    """A run of 90 steps with a checkpoint of step 30, each measured, and a picture of each."""
    run = project.runs_folder / RUN
    files.write_text(run / "plan.toml", "")
    files.write_bytes(run / project.lora_file.name, b"of the end")
    early = checkpoint_file(run, project.diffusers_lora_file.name, 30)
    files.write_bytes(early, b"of step 30")
    done = Done(90, 1.0, 1, project.lora_file, project.diffusers_lora_file)
    files.write_json_lines(log_of(run), iter([as_record(done, run)]))
    records = []
    for step, file, likeness, drift in (
        (30, early, 0.2, 0.1), (None, run / project.lora_file.name, 0.3, 0.2)
    ):  # fmt: skip
        values = {"identity": (likeness - 0.05, likeness, likeness + 0.05), "drift": (drift,) * 3}
        digest = hashing.sha256(file)
        one = Candidate(RUN, 1.0, digest, likeness, drift, "an embedder", step, values)
        records.append(one)
        place = folder_of(project, one) / "with" / "shot.png"
        place.parent.mkdir(parents=True)
        noise(0, 64).save(place)
        shot = GeneratedImage(
            place, "ohwx car, a beach", "", 0, 4, 5.0, "", 64, 64, (("l", 1.0, digest),), "b", "h"
        )
        write_record(shot)
    files.write_json(project.candidates_folder / "scores.json", [asdict(one) for one in records])
    return project


def test_points_lie_by_step_and_drift_with_their_intervals(judged):
    facts = judgement(judged)
    early, late = facts["by_step"]["points"]
    assert early["x"] < late["x"] and early["y"] > late["y"]  # up is more
    assert early["low"] > early["y"] > early["high"]
    ticks = {label: x for label, x in facts["by_step"]["across"]}
    per_step = (ticks["50"] - ticks["0"]) / 50
    assert late["x"] == pytest.approx(ticks["0"] + 90 * per_step, abs=0.3)
    assert early["x"] == pytest.approx(ticks["0"] + 30 * per_step, abs=0.3)
    left, right = facts["by_drift"]["points"]
    assert left["x"] < right["x"] and left["y"] == early["y"]
    assert left["picture"]["src"].startswith("data:image/jpeg")


def test_the_report_shows_them_and_without_any_says_nothing(judged):
    page = write_report(judged).read_text()
    assert "Which checkpoint, which weight" in page and f"{RUN}, step 30<br><small>at 1" in page
    assert len(re.findall(r"<circle", page)) == 4 and "<image href=" in page
    (judged.candidates_folder / "scores.json").unlink()
    assert "Which checkpoint" not in write_report(judged).read_text()
    assert judgement(judged) is None


def test_the_proposal_is_told_as_long_as_its_lora_is_there(judged):
    early, _ = read_candidates(judged)
    keep_proposal(judged, Choice(early, "because it is light"))
    assert "Proposed: because it is light" in write_report(judged).read_text()
    checkpoint_file(judged.runs_folder / RUN, judged.diffusers_lora_file.name, 30).unlink()
    assert "Proposed" not in write_report(judged).read_text()


def test_what_was_measured_by_an_earlier_packshot_is_left_out(judged):
    old = Candidate(RUN, 0.8, hashing.sha256(judged.runs_folder / RUN / judged.lora_file.name))
    files.write_json(judged.candidates_folder / "scores.json", [asdict(old)])
    assert judgement(judged) is None


def test_other_bases_and_loras_from_elsewhere_are_shown_apart_from_the_steps(judged):
    end = read_candidates(judged)[1]
    elsewhere = replace(end, run="theirs.safetensors", sha256="another's")
    write_candidate(judged, replace(end, base="sister.safetensors", drift=0.25))
    write_candidate(judged, elsewhere)
    write_candidate(judged, replace(end, base="older.safetensors", sha256="of a run before"))
    facts = judgement(judged)
    assert len(facts["by_step"]["points"]) == 2
    assert facts["bases"] == [judged.settings.base, "sister.safetensors"]
    assert [point["base"] for point in facts["by_drift"]["points"]] == [0, 0, 1, 0]
    page = write_report(judged).read_text()
    assert "at 1 on sister.safetensors" in page and "theirs.safetensors" in page
    assert len(re.findall('<circle class="on1"', page)) == 1


def test_what_was_measured_by_other_photos_is_left_out_and_told(judged):
    early, end = read_candidates(judged)
    keep_proposal(judged, Choice(early, "because it is light"))
    write_candidate(judged, replace(end, base="sister.safetensors", terms="then-sister"))
    assert [row["name"] for row in judgement(judged)["rows"]] == [
        f"{RUN}, at 1 on sister.safetensors"
    ]
    write_candidate(judged, replace(end, likeness=0.9, terms="now-own"))
    facts = judgement(judged)
    assert [row["name"] for row in facts["rows"]] == [f"{RUN}, at 1"] and facts["left_out"] == 2
    page = write_report(judged).read_text()
    assert "2 more were measured by other photos" in page and "because it is light" not in page
    write_candidate(judged, replace(early, terms="now-own"))
    write_candidate(judged, replace(end, base="sister.safetensors", terms="now-sister"))
    facts = judgement(judged)
    assert len(facts["rows"]) == 3 and not facts["left_out"]
    assert "measured by other photos" not in write_report(judged).read_text()


def test_the_proposal_that_was_chosen_is_told_as_the_projects(judged):
    end = read_candidates(judged)[1]
    keep_proposal(judged, Choice(end, "because it is faithful"))
    copying.copy(judged.runs_folder / RUN / judged.lora_file.name, judged.lora_file)
    assert "The project&#39;s LoRA: because it is faithful" in write_report(judged).read_text()
