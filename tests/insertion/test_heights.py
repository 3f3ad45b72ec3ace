import pytest

from packshot.insertion.heights import _table, has_windows, height_of, is_round, is_same_all_around


@pytest.mark.parametrize("noun,found", [
    ("watch", "watch"), ("Beer Can", "beer can"), ("small tin can", "can"), ("red toy car", "toy car"),
    ("rc_car", "rc car"), ("sneakers", "sneaker"), ("pair of shoes", "shoe"),
    ("can of white paint", "can"), ("trainers", "sneaker"), ("SUV", "car"), ("knives", "knife"),
    ("boxes", "box"), ("glasses", "glasses"), ("wine glasses", "wine glass"),
])  # fmt: skip
def test_a_noun_is_found_by_its_head(noun, found):
    height, by = height_of(noun)
    assert by == found and height == _table().heights[found]


@pytest.mark.parametrize("noun", ["", "of", "thingamajig", "carpet", "2"])
def test_what_is_in_no_table_has_no_height(noun):
    assert height_of(noun) is None and not is_round(noun)


def test_the_table_is_whole():
    table = _table()
    assert len(table.heights) >= 200
    assert all(0.005 <= height <= 5 for height in table.heights.values())
    named = set(table.synonyms.values()) | table.round_things | table.with_windows
    assert named <= set(table.heights)
    assert has_windows("red hatchback") and not has_windows("toy car")
    assert not set(table.synonyms) & set(table.heights)


def test_round_things_are_those_of_revolution():
    assert _table().with_handle <= _table().round_things
    assert is_same_all_around("red vase") and not is_same_all_around("mug")
    assert not is_same_all_around("sneaker")
    assert is_round("beer can") and is_round("vases") and not is_round("sneaker")
