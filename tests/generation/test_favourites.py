"""Favourites among the shots."""

import pytest

from packshot.errors import PackshotError
from packshot.generation.favourites import read_favourites, set_favourite
from packshot.utils import files
from tests.at_once import another_writes_before


@pytest.fixture
def shots(project):
    made = [project.shots_folder / name for name in ("a.png", "with/b.png")]
    for file in made:
        files.write_bytes(file, b"picture")
    return made


def test_favourites_are_kept_in_the_order_in_which_they_were_chosen(project, shots):
    assert read_favourites(project) == []
    for shot in reversed(shots):
        set_favourite(project, shot, True)
    assert read_favourites(project) == shots[::-1]
    set_favourite(project, shots[1], False)
    assert read_favourites(project) == shots[:1]


def test_two_that_are_clicked_at_once_are_both_kept(project, shots, monkeypatch):
    with another_writes_before(monkeypatch, lambda: set_favourite(project, shots[1], True)):
        set_favourite(project, shots[0], True)
    assert sorted(read_favourites(project)) == shots


def test_one_that_is_gone_is_none_any_more(project, shots):
    set_favourite(project, shots[0], True)
    shots[0].unlink()
    assert read_favourites(project) == []


@pytest.mark.parametrize(
    "names", [["../packshot.toml"], ["/etc/passwd"], {"a": 1}, [3], ["a.json"]]
)
def test_a_list_that_names_other_files_is_passed_over(project, shots, names):
    files.write_bytes(project.shots_folder / "a.json", b"{}")
    files.write_json(project.favourites_file, names)
    assert read_favourites(project) == []


def test_what_is_no_shot_cannot_be_one(project):
    with pytest.raises(PackshotError, match="no generated image"):
        set_favourite(project, project.settings_file, True)
