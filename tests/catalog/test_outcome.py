"""What a finished project measured, and what tells it from one that is made anew."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from packshot.catalog.outcome import Outcome, figures
from packshot.project import create_project
from packshot.utils import files, reading, serialization

VALUES = [0.81, 0.84, 0.78, 0.9, 0.86, 0.83, 0.8, 0.88]


@pytest.fixture
def project(tmp_path):
    project = create_project(tmp_path / "mug", name="Mug", class_noun="mug")
    files.write_text(project.plan_file, "steps = 10\n")
    return project


def scored(project, values, drift=0.02):
    told = dict(embedder="CLIP", higher_is_better=True, meaning="")
    likeness = dict(told, name="likeness with the LoRA", value=float(np.mean(VALUES)))
    if values is not None:
        likeness["values"] = values
    files.write_json(project.scores_file, [likeness, dict(told, name="class drift", value=drift)])


def test_likeness_lies_in_an_interval_about_as_wide_as_students(project):
    """The percentile bootstrap of few values is a little narrower than the t interval."""
    scored(project, VALUES)
    found = figures(project)
    low, high = found["likeness_interval"]
    of_t = stats.t.interval(0.95, len(VALUES) - 1, np.mean(VALUES), stats.sem(VALUES))
    assert found["likeness"] == pytest.approx(np.mean(VALUES)) and found["drift"] == 0.02
    assert of_t[0] < low < np.mean(VALUES) < high < of_t[1]
    assert (high - low) > 0.7 * (of_t[1] - of_t[0])


@pytest.mark.parametrize("values", [None, [], [0.8]])
def test_what_has_too_few_pictures_has_no_interval(project, values):
    scored(project, values)
    assert figures(project)["likeness_interval"] is None


def test_without_scores_there_are_no_figures(project):
    found = figures(project)
    assert found["likeness"] is found["likeness_interval"] is found["drift"] is None


def test_the_mark_is_that_of_what_was_made(project):
    scored(project, VALUES)
    before = figures(project)["mark"]
    assert before and figures(project)["mark"] == before
    scored(project, VALUES, drift=0.03)
    other = figures(project)["mark"]
    files.write_text(project.plan_file, "steps = 20\n")
    assert len({before, other, figures(project)["mark"]}) == 3


def test_facts_and_back_give_the_same(project):
    scored(project, VALUES)
    outcome = Outcome("mug", "done", **figures(project))
    told = serialization.as_json(outcome.facts())
    files.write_text(project.root / "facts.json", told)
    assert Outcome.of_facts(reading.read_json(project.root / "facts.json")) == outcome
