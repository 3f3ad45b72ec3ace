"""Datasets put together, and what they call their subject."""

from pathlib import Path

import pytest

from packshot.datasets.model import Dataset, Entry, origin_of


@pytest.mark.parametrize(
    ("tokens", "noun", "subject"),
    [
        ("ohwx car", None, ("ohwx", "car")), ("ohwx red car", None, ("ohwx", "red car")),
        ("ohwx", "car", ("ohwx", "car")), ("ohwx", None, ("ohwx", None)),
        ("car", "car", (None, "car")), (None, "car", (None, "car")), ("", None, (None, None)),
        (" ", "car", (None, "car")), (None, None, (None, None)),
    ],
)  # fmt: skip
def test_trigger_and_class_are_told_as_far_as_they_are(tokens, noun, subject):
    assert Dataset(class_tokens=tokens, class_noun=noun).subject() == subject


def test_of_two_datasets_the_first_ones_word_counts():
    a, b, c = (Path(name) for name in "abc")
    one = Dataset([Entry(a, "one")], [Entry(b)], class_noun="car", refused={"x": "1"}, notes=["n"])
    other = Dataset(
        [Entry(a, "two"), Entry(b), Entry(c)],
        [Entry(c), Entry(a)],
        "ohwx car",
        "van",
        {"y": "2"},
        ["m"],
    )
    one.add(other)
    assert [entry.picture for entry in one.entries] == [a, c] and one.entries[0].caption == "one"
    assert [entry.picture for entry in one.class_entries] == [b, c]
    assert (one.class_tokens, one.class_noun) == ("ohwx car", "car")
    assert one.refused == {"x": "1", "y": "2"} and one.notes == ["n", "m"]
    assert len(other.entries) == 3, "the other stays as it was"


def test_of_the_origin_only_what_is_told_is_kept():
    told = {"source": "here", "author": "", "licence": None, "title": 3, "password": "x"}
    assert origin_of(told) == {"source": "here", "title": "3"} and origin_of({}) == {}
