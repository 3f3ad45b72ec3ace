"""What is said before training."""

from pathlib import Path
from types import SimpleNamespace

from packshot.plan.notes import notes_on
from packshot.settings import Subject


def test_photos_whose_ends_are_cut_are_named(tiny_base):
    def photo(name, width, height):
        return SimpleNamespace(file=Path(name), width=width, height=height)

    photos = [photo("a.jpg", 4000, 1000), photo("b.jpg", 5000, 1000), photo("c.jpg", 1000, 8000)]
    (note,) = notes_on(tiny_base, photos)
    assert "so their ends are cut: b.jpg 20%, c.jpg 50%. Crop them" in note
    assert notes_on(tiny_base, photos[:1]) == notes_on(tiny_base) == []
    (note,) = notes_on(tiny_base, [*photos[1:], *(photo(f"{n}", 9, 1) for n in range(9))])
    assert note.count("%") == 5 and "and 6 more. Crop" in note


def test_photos_whose_captions_lack_the_trigger_are_named(tiny_base):
    subject = Subject(name="Duster", trigger="ohwx", class_noun="car")

    def photo(name, caption):
        return SimpleNamespace(file=Path(name), width=64, height=64, caption=caption)

    good = [photo("a.jpg", "ohwx, a car"), photo("b.jpg", None)]
    assert notes_on(tiny_base, good, subject) == []
    bad = [photo(f"{n}.jpg", text) for n, text in enumerate(["a red car", "ohwxcar", *"abcde"])]
    (note,) = notes_on(tiny_base, [*good, *bad], subject)
    assert (
        "the trigger 'ohwx' is not in the captions of 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more"
        in note
    )
