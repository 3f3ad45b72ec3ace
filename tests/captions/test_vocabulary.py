import pytest

from packshot.captions.phrases import read_bank
from packshot.captions.vocabulary import _wordings, normalize_wording, plural, words


@pytest.mark.parametrize(
    ("said", "consistently"),
    [
        ("a photo of ohwx car at dusk", "a photo of ohwx car at sunset"),
        ("ohwx car during golden hour, seen from behind", "ohwx car at sunset, rear view"),
        ("ohwx car In A Parking Lot", "ohwx car in a car park"),
        ("ohwx car on the side of the road", "ohwx car by the road"),
        ("ohwx car on the roadside, on the road", "ohwx car by the road, on a road"),
        ("ohwx mug on top of a wooden table", "ohwx mug on a wooden table"),
        ("ohwx mug on the tabletop at dusky hours", "ohwx mug on the tabletop at dusky hours"),
        ("ohwx car at sunset, close-up", "ohwx car at sunset, close-up"),
        ("", ""),
    ],
)
def test_the_same_thing_is_said_the_same_way(said, consistently):
    assert normalize_wording(said) == consistently
    assert normalize_wording(consistently) == consistently


def test_no_wording_leads_to_another_and_the_phrase_banks_stay():
    said = _wordings()[1]
    assert all(said[phrase] == phrase for phrase in said.values())
    for group in read_bank(_nowhere()).groups.values():
        for phrase in group.phrases:
            assert normalize_wording(phrase) == phrase


def _nowhere():
    from pathlib import Path

    return Path("nowhere/base")


def test_every_word_is_in_one_list_in_lower_case():
    known = words()
    lists = {
        name: getattr(known, name)
        for name in ("situations", "attributes", "stops", "indefinite", "definite", "unlike")
    }
    lists["nouns"] = frozenset(noun for kind in known.kinds for noun in kind)
    assert all(word == word.lower() for one in lists.values() for word in one)
    names = list(lists)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            shared = lists[name] & lists[other] - {"can", "toy"}
            assert not shared, (name, other, shared)


def test_a_class_is_looked_for_by_the_names_of_its_kind():
    assert {"suv", "vehicle", "car"} <= words().nouns("car")
    assert {"sedan", "car", "sports car"} <= words().nouns("Sports car")
    assert "mug" in words().nouns("travel mug") and "travel mug" in words().nouns("travel mug")
    assert words().nouns("gizmo") == {"gizmo"}
    assert "headset" in words().nouns("headphones")
    assert "sneaker" in words().nouns("shoes")


@pytest.mark.parametrize(
    ("one", "many"),
    [("car", "cars"), ("watch", "watches"), ("box", "boxes"), ("body", "bodies"), ("toy", "toys")],
)
def test_plurals(one, many):
    assert plural(one) == many
