"""Whether all that was done stands, told by names, sizes and times alone."""

import os

import pytest

from packshot.project import create_project, save_choices
from packshot.settings import choices_of
from packshot.workflow.receipt import all_stands, write_receipt


@pytest.fixture
def done(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jpg").write_bytes(b"a")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"weights")
    project = create_project(
        tmp_path / "p", name="Duster", class_noun="car", base=str(tmp_path / "base")
    )
    for name in (
        "photos/a.jpg", "photos/a.txt", "photos/masks/a.png", "class_images/1.png", "plan.toml",
        "decisions.toml", "lora/duster.safetensors", "shots/with/1.png", "shots/scores.json",
        "report.html",
    ):  # fmt: skip
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert not all_stands(project, source)
    write_receipt(project, source)
    return project, source


def test_untouched_all_of_it_stands(done):
    assert all_stands(*done)
    (done[0].root / "shots" / "mine.png").write_bytes(b"x")
    (done[0].root / "insertions").mkdir()
    assert all_stands(*done), "what a person makes besides is no part of it"


@pytest.mark.parametrize(
    "name",
    [
        "p/photos/a.jpg", "p/photos/a.txt", "p/photos/masks/a.png", "p/class_images/1.png",
        "p/plan.toml", "p/decisions.toml", "p/lora/duster.safetensors", "p/shots/with/1.png",
        "p/shots/scores.json", "p/report.html", "source/a.jpg", "base/model.safetensors",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["gone", "changed", "touched", "disguised"])
def test_whatever_is_touched_is_seen(done, tmp_path, name, how):
    path = tmp_path / name
    if how == "gone":
        path.unlink()
    elif how == "changed":
        path.write_bytes(b"other")
    elif how == "touched":
        os.utime(path, ns=(1, 1))
    else:  # as large and as old as it was
        before = path.stat()
        path.write_bytes(b"y" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not all_stands(*done)


def test_other_words_versions_and_sources_are_seen(done, tmp_path, monkeypatch):
    project, source = done
    (source / "b.jpg").write_bytes(b"b")
    assert not all_stands(project, source)
    (source / "b.jpg").unlink()
    assert all_stands(project, source)
    assert not all_stands(project, tmp_path / "base")
    save_choices(project, choices_of(images_per_prompt=4))
    assert not all_stands(project, source)
    save_choices(project, choices_of(images_per_prompt=2))
    assert all_stands(project, source)
    save_choices(project, choices_of(assistant=str(tmp_path / "helper.safetensors")))
    (tmp_path / "helper.safetensors").write_bytes(b"weights")
    write_receipt(project, source)
    assert all_stands(project, source)
    (tmp_path / "helper.safetensors").write_bytes(b"others")
    assert not all_stands(project, source)
    save_choices(project, choices_of(assistant="none"))
    write_receipt(project, source)
    monkeypatch.setattr("packshot.workflow.receipt.version", lambda name: "99")
    assert not all_stands(project, source)


def test_a_receipt_that_is_torn_is_none(done):
    done[0].receipt_file.write_text("{")
    assert not all_stands(*done)
