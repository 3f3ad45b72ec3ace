import pytest

from packshot.captions import (
    edit_captions,
    lock_captions,
    replace_in_captions,
    unlock_captions,
)
from packshot.captions.edit import rule_of
from packshot.errors import CaptionError, DiskFullError, ProjectError
from packshot.utils import files
from tests.captions.reviewed import authors, captions, locks


def test_words_are_replaced_in_all_captions_but_locked_ones(reviewed):
    lock_captions(reviewed, ["c"])
    edited = replace_in_captions(reviewed, [("at dusk", "at sunset"), ("sunset", "night")])
    assert [photo.file.name for photo in edited.changed] == ["a.png"] and not edited.notes
    assert captions(reviewed) == [
        "ohwx car at night",
        "ohwx car in snow",
        "ohwx car at dusk, side view",
    ]
    assert authors(reviewed) == ["person", "said", "said"]


@pytest.mark.parametrize(
    ("old", "new", "regex", "first"),
    [
        (".", "!", False, "ohwx car at dusk"),
        ("dusk", r"\1 (night)", False, r"ohwx car at \1 (night)"),
        (r"at (\w+)", r"by \1", True, "ohwx car by dusk"),
        (" at dusk", "", False, "ohwx car"),
        ("car ", "car   ,\n ", False, "ohwx car , at dusk"),
    ],
)
def test_plain_text_is_plain_and_expressions_have_groups(reviewed, old, new, regex, first):
    replace_in_captions(reviewed, [(old, new)], regex=regex)
    assert captions(reviewed)[0] == first


def test_captions_that_lose_the_trigger_are_told(reviewed):
    edited = replace_in_captions(reviewed, [("ohwx car in snow", "ohwxcar in snow")])
    assert edited.notes == ["b.png: the caption lacks the trigger 'ohwx'"]


@pytest.mark.parametrize(
    ("old", "new", "regex", "words"),
    [
        ("", "x", False, "What is to be replaced is empty"),
        ("(", "x", True, r"'\(' is no regular expression"),
        ("(a)", r"\2", True, r"cannot be put for '\(a\)'"),
        (
            "ohwx car in snow",
            " ",
            False,
            r"b\.png: would be empty; say what the photo shows",
        ),
        ("snow", "x" * 10_000, False, r"b\.png: would have 10012 characters; 10000 are read"),
    ],
)
def test_what_makes_no_sense_changes_nothing(reviewed, old, new, regex, words):
    before = captions(reviewed)
    with pytest.raises(CaptionError, match=words):
        replace_in_captions(reviewed, [("dusk", "dawn"), (old, new)], regex=regex)
    assert captions(reviewed) == before and authors(reviewed) == ["said"] * 3


def test_rules_are_read_as_they_are_written():
    assert rule_of("dusk=>sunset") == ("dusk", "sunset")
    assert rule_of(" red =>") == (" red ", "")
    assert rule_of("a=>b=>c") == ("a", "b=>c")
    for text in ("dusk", "=>x", "", "a->b"):
        with pytest.raises(CaptionError, match="OLD=>NEW"):
            rule_of(text)


def test_locks_go_by_name_with_or_without_ending_or_folder(reviewed):
    locked = lock_captions(reviewed, ["a", "photos/b.png"])
    assert [photo.file.name for photo in locked] == ["a.png", "b.png"]
    assert locks(reviewed) == [True, True, False]
    unlock_captions(reviewed, ["a.png", "c"])
    assert locks(reviewed) == [False, True, False]


def test_what_is_not_there_or_says_nothing_is_not_locked(reviewed):
    with pytest.raises(CaptionError, match=r"no photo 'x', 'y\.png'\. It has: a\.png, b\.png"):
        lock_captions(reviewed, ["a", "x", "y.png"])
    (reviewed.photos_folder / "b.txt").unlink()
    with pytest.raises(CaptionError, match=r"no caption to lock yet: b\.png"):
        lock_captions(reviewed, ["a", "b"])
    assert locks(reviewed) == [False] * 3


@pytest.mark.parametrize("writes", range(3))
def test_killed_in_the_middle_it_can_be_done_again(reviewed, monkeypatch, writes):
    write, left = files._write, [writes]

    def failing(path, data):
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        write(path, data)

    monkeypatch.setattr(files, "_write", failing)
    with pytest.raises(DiskFullError):
        replace_in_captions(reviewed, [("dusk", "dawn")])
    monkeypatch.undo()
    changed = [by == "person" for by in authors(reviewed)]
    assert changed == ["dawn" in caption for caption in captions(reviewed)]
    replace_in_captions(reviewed, [("dusk", "dawn")])
    assert captions(reviewed)[::2] == ["ohwx car at dawn", "ohwx car at dawn, side view"]
    assert authors(reviewed) == ["person", "said", "person"]


def test_a_project_in_use_is_left_alone(reviewed):
    with reviewed.held(), pytest.raises(ProjectError, match="in use"):
        replace_in_captions(reviewed, [("dusk", "dawn")])


def test_single_captions_are_written_as_a_persons(reviewed):
    edited = edit_captions(reviewed, {"a.png": "  ohwx car\n in rain ", "b": "ohwx car in snow"})
    assert [photo.file.name for photo in edited.changed] == ["a.png"]
    assert captions(reviewed) == [
        "ohwx car in rain",
        "ohwx car in snow",
        "ohwx car at dusk, side view",
    ]
    assert authors(reviewed) == ["person", "said", "said"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("z.png", "x", "has no photo 'z.png'"),
        ("a.png", " ", r"a\.png: would be empty"),
        ("c.png", "ohwx car", r"c\.png: is locked"),
    ],
)
def test_a_single_caption_that_cannot_be_is_told_and_none_written(reviewed, name, text, words):
    lock_captions(reviewed, ["c"])
    before = captions(reviewed)
    with pytest.raises(CaptionError, match=words):
        edit_captions(reviewed, {"b.png": "other", name: text})
    assert captions(reviewed) == before
