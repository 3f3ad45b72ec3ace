"""What is kept of a base's painting: its region, feathered, and nothing else."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from packshot.insertion import inpaint_product as painting
from packshot.insertion.inpaint_crop import InpaintCrop
from packshot.insertion.inpaint_product import NothingPainted, inpaint_product
from packshot.insertion.settings import InsertionSettings
from packshot.settings import Subject
from tests.insertion.scenes import scene

SUBJECT = Subject(name="Box", trigger="ohwx", class_noun="box")
BASE = SimpleNamespace(native_pixels=64, pixel_multiple=8)


@pytest.fixture
def paint(monkeypatch):
    """Generates with a base that paints all of its canvas in one colour."""
    asked, found = [], {"share": (0.25, 0.75)}

    def painted(canvas, base, colours, strength, *_):
        asked.append(strength)
        return np.full((canvas.box.height, canvas.box.width, 3), 0.1, np.float32)

    class Middle:
        def mask(self, picture):
            mask = Image.new("L", picture.size)
            low, high = found["share"]
            sides = (round(side * share) for share in (low, high) for side in picture.size)
            mask.paste(255, tuple(sides))
            return mask

    monkeypatch.setattr(InpaintCrop, "painted", painted)
    monkeypatch.setattr(painting, "fused", lambda base, loras: nullcontext())
    monkeypatch.setattr(painting, "BundledSegmenter", Middle)

    def make(shown, share=(0.25, 0.75)):
        found["share"] = share
        return inpaint_product(SUBJECT, shown, InsertionSettings(), 0, BASE, [])

    make.asked = asked
    return make


def test_only_the_region_changes_and_its_middle_is_the_bases(paint):
    shown = scene("sand", 300)
    made = paint(shown)
    assert np.array_equal(made.image[made.changed_mask == 0], shown.image[made.changed_mask == 0])
    place = shown.placement.box
    inner = slice(place.top + 10, place.bottom - 10), slice(place.left + 10, place.right - 10)
    assert np.allclose(made.image[inner], 0.1)
    assert (made.changed_mask[place.region] > 0).all(), "all of the place is its to paint"
    assert made.cut is None


def test_at_the_zones_rim_nothing_has_changed_yet(paint):
    shown = scene("smooth", 300)
    made = paint(shown)
    changed = np.abs(made.image - shown.image).max(axis=2)
    inside = made.changed_mask > 0
    neighbours = [np.roll(inside, step, axis) for step in (1, -1) for axis in (0, 1)]
    rim = inside & ~np.all(neighbours, axis=0)
    assert changed[rim].max() < 0.06
    steps = [np.abs(np.diff(made.image, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < 0.4, "and from there it grows without a leap of all there is (0.6)"


def test_ground_below_the_place_is_free_for_a_shadow_and_the_sky_is_not(paint):
    shown = scene("sand", 300)
    strength = (paint(shown), paint.asked[0])[1]
    place = shown.placement.box
    middle = place.left + place.width // 2
    assert strength.min() >= 0 and strength.max() <= 1
    assert strength[place.bottom + place.height // 10, middle] > 0.3
    assert strength[place.top - place.height // 5, middle] < 0.05
    assert strength[place.bottom - 2, place.left - place.width // 20] > 0.3, "beside its foot"


def test_a_mask_says_what_may_be_painted_above_the_ground(paint):
    shown = scene("sand", 300)
    place = shown.placement
    mask = np.zeros((place.box.height, place.box.width), np.float32)
    mask[:, : place.box.width // 2] = 1
    paint(replace(shown, placement=replace(place, mask=mask)))
    upper = place.box.top + place.box.height // 3
    assert paint.asked[0][upper, place.box.left + place.box.width // 4] > 0.9
    assert paint.asked[0][upper, place.box.left + place.box.width * 3 // 4] == 0


def test_the_product_is_what_the_segmenter_finds_in_the_crops_pixels(paint):
    shown = scene("sand", 300)
    made = paint(shown, share=(0.3, 0.7))
    canvas = InpaintCrop.around(shown.placement.box, shown.image.shape, BASE).box
    assert made.box.width == pytest.approx(0.4 * canvas.width, abs=1)
    assert made.box.left == pytest.approx(canvas.left + 0.3 * canvas.width, abs=1)
    assert made.box.top == pytest.approx(canvas.top + 0.3 * canvas.height, abs=1)
    assert made.alpha.shape == (made.box.height, made.box.width) and (made.alpha == 1).all()
    assert np.array_equal(made.product, made.image[made.box.region])
    with pytest.raises(NothingPainted, match="painted no product there"):
        paint(shown, share=(0.5, 0.5))


def test_what_became_darker_is_the_light_that_was_taken(paint):
    shown = scene("sand", 300)
    made = paint(shown)
    row, column = made.box.top + made.box.height // 2, made.box.left + made.box.width // 2
    before = shown.image[row, column] @ np.float32([0.299, 0.587, 0.114])
    assert made.shadow[row, column] == pytest.approx(1 - 0.1 / before, abs=0.01)
    assert made.shadow[made.changed_mask == 0].max() == 0 and made.shadow.min() >= 0
