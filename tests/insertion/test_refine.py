"""What is taken of a base's changes: its light inside the product, all of it on rim and shadow."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from packshot.insertion import refine as refining
from packshot.insertion.inpaint_crop import InpaintCrop
from packshot.insertion.settings import InsertionSettings
from packshot.settings import Subject
from tests.insertion.scenes import inserted, scene

SUBJECT = Subject(name="Box", trigger="ohwx", class_noun="box")
BASE = SimpleNamespace(native_pixels=64, pixel_multiple=8)
SHOWN = scene("sand", 240)
MADE = inserted(SHOWN)


@pytest.fixture
def refine(monkeypatch):
    """Refines with a base whose autoencoder loses a little, and which then `changes` what it sees."""
    asked = []

    def run(changes, strength=0.4):
        def painted(canvas, base, colours, how, *_):
            asked.append(how)
            decoded = colours[canvas.box.region] * 0.95 + 0.01
            return changes(decoded) if how.any() else decoded

        monkeypatch.setattr(InpaintCrop, "painted", painted)
        monkeypatch.setattr(refining, "fused", lambda base, loras: nullcontext())
        settings = InsertionSettings(refine=strength)
        return refining.refine(SUBJECT, SHOWN, MADE, settings, 0, BASE, [])

    run.asked = asked
    return run


def inner(made=MADE):
    box = made.box
    reach = box.height // 5
    return slice(box.top + reach, box.bottom - reach), slice(box.left + reach, box.right - reach)


def test_a_base_that_changes_nothing_leaves_it_as_it_was(refine):
    """What its autoencoder loses is no change."""
    made = refine(lambda decoded: decoded)
    assert np.allclose(made.image, MADE.image, atol=1e-5)
    assert np.array_equal(made.alpha, MADE.alpha) and made.box == MADE.box and made.cut is MADE.cut


def test_inside_only_light_changes_and_by_a_fifth_at_most(refine):
    made = refine(lambda decoded: decoded * 1.1)
    part = inner()
    assert np.allclose(made.image[part], (MADE.image[part] * 1.1).clip(0, 1), atol=0.01)
    dark = refine(lambda decoded: decoded * 0.3)
    assert np.allclose(dark.image[part], MADE.image[part] / 1.2, atol=0.01)


def test_hue_and_print_that_the_base_makes_up_are_not_taken(refine):
    """Stripes across the product, and red for green: as light as it was."""

    def other(decoded):
        striped = decoded[..., ::-1].copy()
        grey = np.float32([0.299, 0.587, 0.114])
        striped *= ((decoded @ grey) / np.maximum(striped @ grey, 1e-3))[..., None]
        striped[:, ::2] *= 1.4
        striped[:, 1::2] *= 0.6
        return striped

    part = inner()
    ratio = refine(other).image[part] / np.maximum(MADE.image[part], 1e-3)
    assert np.ptp(ratio, axis=2).max() < 0.02, "no channel against the others"
    assert ratio.min() > 0.9 and ratio.max() < 1.1


def test_on_the_shadow_the_change_is_taken_whole(refine):
    made = refine(lambda decoded: decoded - 0.1)
    deep = (MADE.shadow > 0.3) & (MADE.image.min(axis=2) > 0.15)
    deep[MADE.box.top - 8 : MADE.box.bottom + 4, MADE.box.left - 8 : MADE.box.right + 8] = False
    canvas = InpaintCrop.around(MADE.box, SHOWN.image.shape, BASE).box
    deep[:, : canvas.left + 4] = deep[:, canvas.right - 4 :] = False
    assert deep.sum() > 50
    assert np.allclose((MADE.image - made.image)[deep], 0.1, atol=0.02)


def test_nothing_changes_outside_its_zone_which_holds_the_old_one(refine):
    made = refine(lambda decoded: decoded * 0.5)
    assert (made.changed_mask[MADE.changed_mask > 0] == 1).all()
    assert np.array_equal(made.image[made.changed_mask == 0], SHOWN.image[made.changed_mask == 0])


def test_strength_is_greatest_on_the_rim_less_on_the_shadow_least_inside(refine):
    refine(lambda decoded: decoded, strength=0.4)
    how, nothing = refine.asked
    assert nothing.max() == 0
    assert how.max() == pytest.approx(0.4)
    middle = MADE.box.top + MADE.box.height // 2, MADE.box.left + MADE.box.width // 2
    assert how[middle] == pytest.approx(0.2)
    assert how[middle[0], MADE.box.left] > 0.35, "its edge"
    shadow = np.argwhere(MADE.shadow > 0.2)
    far = shadow[shadow[:, 1].argmax()]
    assert how[tuple(far)] == pytest.approx(0.32)
    assert how[2, 2] == 0
