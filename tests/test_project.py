import pytest

from packshot.errors import ProjectError
from packshot.project import Project, new, open_project


def test_new_project_opens_again_with_the_same_settings(tmp_path):
    made = new(tmp_path / "duster", name="Dacia Duster", class_noun="car", seed=3)
    assert open_project(tmp_path / "duster").settings == made.settings
    assert new(tmp_path / "duster", name="Dacia Duster", class_noun="car", seed=3) == made
    assert made.subject.phrase == "ohwx car"
    assert made.subject.fill("a photo of {subject} on a beach") == "a photo of ohwx car on a beach"
    assert made.lora_file.name == "dacia-duster.safetensors"


def test_other_settings_are_refused_and_nothing_is_overwritten(tmp_path):
    made = new(tmp_path / "p", name="One", class_noun="car")
    before = made.settings_file.read_bytes()
    with pytest.raises(ProjectError, match="is a project with other settings"):
        new(tmp_path / "p", name="Two", class_noun="car")
    assert made.settings_file.read_bytes() == before


def test_a_folder_of_other_files_is_not_taken_over(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ProjectError, match="is not a Packshot project"):
        new(tmp_path, name="One", class_noun="car")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "", "class_noun": "car"}, "name"),
        ({"name": "A", "class_noun": ""}, "class_noun"),
        ({"name": "A", "class_noun": "car", "trigger": "two words"}, "trigger"),
        ({"name": "A", "class_noun": "car", "base": " "}, "name a checkpoint"),
        ({"name": "A", "class_noun": "car", "seed": -1}, "seed"),
    ],
)
def test_settings_that_make_no_sense_are_named(tmp_path, settings, words):
    with pytest.raises(ProjectError, match=words):
        new(tmp_path / "p", **settings)
    assert not (tmp_path / "p").exists()


def test_no_project_says_how_to_make_one(tmp_path):
    with pytest.raises(ProjectError, match="packshot new"):
        open_project(tmp_path)


def test_unknown_keys_are_named(tmp_path):
    made = new(tmp_path / "p", name="A", class_noun="car")
    made.settings_file.write_text(made.settings_file.read_text().replace("seed", "sead"))
    with pytest.raises(ProjectError, match="sead: there is no such setting"):
        open_project(tmp_path / "p")


def test_two_processes_cannot_hold_one_project(tmp_path):
    made = new(tmp_path / "p", name="A", class_noun="car")
    with made.held(), pytest.raises(ProjectError, match="in use"), Project(made.root).held():
        pass
