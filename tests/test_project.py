"""The project folder: made, opened, held by one process; whose it is."""

import os
from pathlib import Path

import pytest

from packshot.errors import ProjectError
from packshot.project import (
    Project,
    create_project,
    open_project,
)
from packshot.utils import files


def test_new_project_opens_again_with_the_same_settings(tmp_path):
    made = create_project(tmp_path / "duster", name="Dacia Duster", class_noun="car", seed=3)
    assert open_project(tmp_path / "duster").settings == made.settings
    assert (
        create_project(tmp_path / "duster", name="Dacia Duster", class_noun="car", seed=3) == made
    )
    assert made.subject.phrase == "ohwx car"
    assert made.subject.fill("a photo of {subject} on a beach") == "a photo of ohwx car on a beach"
    assert made.lora_file.name == "dacia-duster.safetensors"


def test_other_settings_are_refused_and_nothing_is_overwritten(tmp_path):
    made = create_project(tmp_path / "p", name="One", class_noun="car")
    before = made.settings_file.read_bytes()
    with pytest.raises(ProjectError, match="is a project with other settings"):
        create_project(tmp_path / "p", name="Two", class_noun="car")
    assert made.settings_file.read_bytes() == before


def test_a_folder_of_other_files_is_not_taken_over(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ProjectError, match="is not a Packshot project"):
        create_project(tmp_path, name="One", class_noun="car")


def test_no_project_says_how_to_make_one(tmp_path):
    with pytest.raises(ProjectError, match="packshot new"):
        open_project(tmp_path)


def test_two_processes_cannot_hold_one_project(tmp_path):
    made = create_project(tmp_path / "p", name="A", class_noun="car")
    with made.held(), pytest.raises(ProjectError, match="in use"), Project(made.root).held():
        pass


def test_killed_as_its_first_file_was_written_the_folder_is_taken(tmp_path):
    (tmp_path / ".packshot.toml.x1y2.part").write_text("seed")
    made = create_project(tmp_path, name="A", class_noun="car")
    assert [file.name for file in made.root.iterdir()] == ["packshot.toml"]


def test_a_project_in_a_folder_of_another_encoding_opens_again(tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "b") + b"\xff"))
    for _ in range(2):
        assert create_project(odd, name=odd.name, class_noun="car").subject.name == "b?"


def test_what_a_kill_left_hours_ago_is_removed_by_who_holds_the_project_next(tmp_path):
    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    run, elsewhere = project.runs_folder / "one", tmp_path / "elsewhere"
    run.mkdir(parents=True)
    elsewhere.mkdir()
    (run / "link").symlink_to(elsewhere)
    state = run / "state.safetensors"
    left = [files.temporary_name(state), files.temporary_name(project.settings_file)]
    kept = [
        files.temporary_name(state),
        files.temporary_name(elsewhere / "a"),
        state,
        run / ".a.part",
    ]
    for file in (*left, *kept):
        file.write_bytes(b"x")
    for file in (*left, *kept[1:]):
        os.utime(file, (1, 1))
    with project.held():
        assert not any(file.exists() for file in left)
    assert all(file.exists() for file in kept)
