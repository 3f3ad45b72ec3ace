"""What is said before training."""

from pathlib import Path
from types import SimpleNamespace

from packshot.plan.notes import notes_on


def test_photos_whose_ends_are_cut_are_named(tiny_base):
    def photo(name, width, height):
        return SimpleNamespace(file=Path(name), width=width, height=height)

    photos = [photo("a.jpg", 4000, 1000), photo("b.jpg", 5000, 1000), photo("c.jpg", 1000, 8000)]
    (note,) = notes_on(tiny_base, photos)
    assert "so their ends are cut: b.jpg 20%, c.jpg 50%. Crop them" in note
    assert notes_on(tiny_base, photos[:1]) == notes_on(tiny_base) == []
    (note,) = notes_on(tiny_base, [*photos[1:], *(photo(f"{n}", 9, 1) for n in range(9))])
    assert note.count("%") == 5 and "and 6 more. Crop" in note
