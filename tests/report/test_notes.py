"""What the report says beside its parts: who made what, and why something is empty."""

from types import SimpleNamespace

import pytest

from packshot.decisions import Decisions
from packshot.report import notes
from packshot.report.notes import notes_on
from packshot.utils import files
from tests.training.test_dataset import planned


def photo(name="a.png", side=512, **values):
    told = {"caption_by": "person", "mask": "m", "masked_by": None}
    return SimpleNamespace(
        file=SimpleNamespace(name=name), width=side, height=side, **(told | values)
    )


@pytest.fixture
def noted(project, monkeypatch):
    """The notes on a project with these photos and class images."""

    def call(shown=(), images=()):
        monkeypatch.setattr(notes, "list_photos", lambda project: list(shown))
        monkeypatch.setattr(notes, "list_class_images", lambda project: list(images))
        return notes_on(project)

    return call


def add_shots(project):
    for kind in ("with", "without"):
        files.write_text(project.shots_folder / kind / "a.png", "")
    files.write_json(project.shots_folder / "scores.json", [])


def test_an_empty_project_is_told_what_is_missing(noted):
    told = noted()
    assert told.keys() == {"class_images", "shots", "scores", "run"}
    assert "packshot train" in told["run"] and "packshot shoot" in told["shots"]
    assert told["class_images"].startswith("No class images")


def test_captions_are_counted_by_who_wrote_them(noted, project):
    shown = [photo(), photo(caption_by="blip"), photo(caption_by="blip"), photo(caption_by=None)]
    assert noted(shown)["captions"] == "Captions by blip (2), you (1), nobody yet (1)."
    Decisions(project).settle("captioner", {}, lambda: ("them/blip", "the best in the cache"))
    assert noted(shown)["captions"].endswith("; blip: the best in the cache.")
    assert "hardly say" in noted([photo(caption_by="plain")])["captions"]
    assert "hardly say" not in noted(shown)["captions"]


def test_masks_that_are_missing_are_named(noted, project, monkeypatch):
    assert noted([photo()])["masks"].startswith("Masks by you (1): look at them")
    told = noted([photo(masked_by="u2net"), photo("b.png", mask=None)])["masks"]
    assert "u2net (1)" in told and told.count("b.png") == 1 and "a.png" not in told
    settings = project.settings.model_copy(update={"segmenter": "none"})
    monkeypatch.setattr(type(project), "settings", settings)
    assert noted([photo(mask=None)])["masks"].startswith("Masks are switched off")


def test_photos_smaller_than_what_was_learnt_at_are_named(noted, project):
    from packshot.plan import write_plan
    from packshot.training.runs import open_run

    plan = planned(resolution=512)
    write_plan(plan, project.plan_file)
    assert "small" not in noted([photo(side=100)]), "nothing was learnt yet"
    open_run(project, plan)
    told = noted([photo(side=512), photo("b.png", side=100)])
    assert (
        "run" not in told and "b.png (100 x 100)" in told["small"] and "a.png" not in told["small"]
    )
    assert "small" not in noted([photo(side=512)])


def test_class_images_are_counted_by_their_authors(noted):
    one, other = SimpleNamespace(author="Ada"), SimpleNamespace(author="Bob")
    assert noted(images=[one, one])["class_images"] == "2 class images, all by Ada."
    assert noted(images=[one, other])["class_images"] == "2 class images, by 2 authors."


def test_scores_that_could_not_be_measured_say_why(noted, project):
    add_shots(project)
    assert not {"shots", "scores"} & noted().keys()
    Decisions(project).settle("embedder", {}, lambda: ("none", "no CLIP is at hand"))
    assert "were not measured: no CLIP is at hand" in noted()["scores"]
    (project.shots_folder / "without" / "a.png").unlink()
    assert noted()["scores"].startswith("Not measured yet") and "shots" not in noted()
