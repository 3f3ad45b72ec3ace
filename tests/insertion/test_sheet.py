"""The sheet's panels, by their pixels."""

import numpy as np
import pytest
from PIL import ImageDraw

from packshot.insertion import sheet as drawn
from packshot.insertion.background import Background, Box
from packshot.insertion.quality_checks import Check

BEFORE = Background("a.png", np.full((150, 200, 3), 200, np.uint8), None)
CROP, PRODUCT = Box(60, 40, 100, 80), Box(80, 60, 40, 50)


@pytest.fixture
def panels(monkeypatch):
    """The pictures and labels that go on the sheet."""
    kept = {}

    def keep(pictures, labels, **_):
        kept.update(zip(labels, pictures, strict=True))

    monkeypatch.setattr(drawn, "contact_sheet", keep)

    def make(*checks):
        after = BEFORE.pixels.copy()
        after[PRODUCT.region] = (180, 20, 20)
        zone = np.zeros((80, 100), np.float32)
        zone[20:70, 20:60] = 1
        drawn.sheet(BEFORE, Background("a.png", after, None), zone, CROP, PRODUCT, checks)
        return {label: np.asarray(picture).astype(int) for label, picture in kept.items()}

    return make


def test_before_is_the_plate_and_after_has_the_product(panels):
    shown = panels()
    assert list(shown) == ["before", "after", "mask and shadow zone", "contact", "edge", "checks"]
    assert np.array_equal(shown["before"], BEFORE.pixels)
    assert (shown["after"][PRODUCT.region] == (180, 20, 20)).all()
    assert (shown["after"] == 200).all(axis=2).sum() == 150 * 200 - 40 * 50


def test_the_zone_is_light_where_it_lies_in_the_plate_and_all_else_dark(panels):
    shown = panels()["mask and shadow zone"]
    inside = np.zeros((150, 200), bool)
    inside[PRODUCT.region] = True
    assert (shown[~inside] == round(200 * 0.45)).all()
    assert (shown[inside].min(axis=1) >= 127).all()


def test_close_ups_show_where_it_touches_and_its_right_edge(panels):
    shown = panels()
    red = {
        name: (shown[name][..., 1] < 100).mean(axis=axis) > 0.5
        for name, axis in (("contact", 1), ("edge", 0))
    }
    for half in red.values():
        middle = len(half) // 2
        assert half[:middle].all() and not half[middle:].any()


def test_checks_that_fail_are_red_and_say_their_limit(panels, monkeypatch):
    written = []
    text = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text",
        lambda self, place, words, fill=None, **more: (
            written.append((words, fill)), text(self, place, words, fill=fill, **more),
        ),
    )  # fmt: skip
    limits = {
        (0.0, 0.0): "(must be 0)",
        (0.0, 6.0): "(at most 6)",
        (-np.inf, 3.0): "(at most 3)",
        (0.12, 1.0): "(at least 0.12)",
        (0.3, 4.0): "(0.3 to 4)",
        (0.81, 1.0001): "(at least 0.81)",
    }
    panels(*(Check("c", 0.5, limit, "why") for limit in limits))
    lines = [(words, fill) for words, fill in written if words.startswith("c: 0.5")]
    assert [words for words, _ in lines] == [f"c: 0.5  {words}" for words in limits.values()]
    passed = [low <= 0.5 <= high for low, high in limits]
    assert [fill == lines[1][1] for _, fill in lines] == passed
    assert sum(words == "why" for words, _ in written) == len(limits)


def test_a_dozen_checks_and_long_words_are_all_on_the_panel(panels):
    good, bad = (
        Check("a", 0.5, (0, 1), "why"),
        Check("last", 2, (0, 1), "of IMG_1234.jpg: " + 15 * "words "),
    )
    table = panels(*[good] * 11, bad)["checks"]
    ink = (table != 255).any(axis=2)
    assert not ink[-4:].any() and not ink[:, -4:].any(), "nothing is cut off"
    rows = np.flatnonzero((np.abs(table - (179, 38, 30)).max(axis=2) < 9).any(axis=1))
    assert len(rows) and (np.flatnonzero(ink.any(axis=1)) > rows[-1]).any(), "with its words below"
