import math
import re

import numpy as np
import pytest
from PIL import Image

from packshot.errors import InsertionError
from packshot.insertion.background import Background, Box
from packshot.insertion.camera import Camera
from packshot.insertion.placement import (
    at_words,
    in_box,
    in_mask,
    on_quad,
    silhouette_height,
    suggest,
)
from tests.backgrounds import landscape


@pytest.fixture
def background():
    return Background("beach.png", landscape(), None)


def test_a_box_is_four_numbers_inside_the_background(background):
    assert in_box(background, " 10,20, 100,90").box == Box(10, 20, 100, 90)
    for given, words in {
        "10,20,100": "is not four whole numbers",
        "a,b,c,d": "is not four whole numbers",
        "390,20,100,90": "reaches from 390,20 to 490,110, but beach.png is 400 x 300 px",
        "-5,20,100,90": "Move it inside",
        "10,20,5,90": "is 5 x 90 px; it needs at least 16",
    }.items():
        with pytest.raises(InsertionError, match=re.escape(words)):
            in_box(background, given)


def seen(corners, horizon, focal=400.0, middle=200.0):
    """Points (right, away) on the ground, in camera heights, as a level camera sees them."""
    return [(middle + focal * x / z, horizon + focal / z) for x, z in corners]


def test_a_patch_of_ground_tells_place_size_and_horizon(background):
    turned = [(-0.9, 3.4), (0.5, 3.0), (0.9, 4.2), (-0.5, 4.6)]
    corners = seen(turned, horizon=120)
    placement = on_quad(background, ",".join(str(round(v)) for p in corners for v in p), aspect=1.6)
    assert placement.horizon == pytest.approx(120, abs=6)
    left, right = (f(x for x, _ in corners) for f in (min, max))
    assert placement.box.width == pytest.approx(right - left, abs=2)
    assert placement.box.bottom == pytest.approx(max(y for _, y in corners), abs=2)
    assert placement.box.width / placement.box.height == pytest.approx(1.6, abs=0.05)
    flat = on_quad(background, "100,250,200,250,200,200,100,200", aspect=1.0)
    assert flat.horizon is None, "sides that are parallel in the picture tell no horizon"


@pytest.mark.parametrize(
    ("given", "words"),
    {
        "1,2,3,4": "is not eight whole numbers",
        "100,250,200,250,100,200,200,200": "crosses or folds into itself",
        "140,290,180,290,220,240,100,240": "narrows towards the camera",
        "10,290,390,290,330,260,60,260": "reaches from",
    }.items(),
)
def test_a_patch_that_cannot_be_is_refused(background, given, words):
    with pytest.raises(InsertionError, match=words):
        on_quad(background, given, aspect=0.9)


def test_a_masks_box_is_where_it_is_white(background, tmp_path):
    grey = np.zeros((300, 400), np.uint8)
    grey[100:160, 50:150] = 255
    grey[:5, :5] = 40
    Image.fromarray(grey).save(tmp_path / "mask.png")
    placement = in_mask(background, tmp_path / "mask.png")
    assert placement.box == Box(50, 100, 100, 60)
    assert placement.mask.shape == (60, 100)
    Image.fromarray(grey[:200]).save(tmp_path / "other.png")
    with pytest.raises(
        InsertionError, match=r"other\.png is 400 x 200 px, the background .* 400 x 300"
    ):
        in_mask(background, tmp_path / "other.png")
    Image.new("L", (400, 300)).save(tmp_path / "empty.png")
    with pytest.raises(InsertionError, match=r"empty\.png is empty: paint white"):
        in_mask(background, tmp_path / "empty.png")


def camera(horizon, focal=480.0):
    """A camera of the background's size."""
    return Camera.with_horizon(400, 300, horizon, focal)


def test_what_stands_nearer_is_larger_as_the_ground_has_it(background):
    """A level camera's horizon crosses a flat thing that is as high as the camera, wherever it stands."""
    for words in ("left, near", "right, far", "centre"):
        box = at_words(background, words, aspect=0.3, camera=camera(150), height=1.0).box
        assert abs(box.top - 150) <= 0.06 * box.height, "and its depth adds a little"
    near, far = (
        at_words(background, w, 1.0, camera(150), 0.5).box for w in ("left near", "left far")
    )
    assert near.height > 1.5 * far.height
    assert near.bottom > far.bottom
    assert at_words(background, "on the right", 1.0, camera(150), 0.5).box.left > 200
    with pytest.raises(InsertionError, match='"on the moon" says no place'):
        at_words(background, "on the moon", 1.0, camera(150), 0.5)


def test_seen_from_above_its_depth_adds_to_its_height():
    """A can, as far away as it is wide: its outline is its side and the half of two ellipses."""
    far, tall, wide = 400.0, 2.0, 1.2
    for degrees in (10, 30, 50):
        steep = math.radians(degrees)
        looks = Camera(1000, 1000, 1200.0, steep)  # at the can's foot, in the picture's middle
        camera_height = far * math.sin(steep)
        per_unit = 1200 / far
        outline = per_unit * (tall * math.cos(steep) + 0.7 * wide * math.sin(steep))
        seen = silhouette_height(looks, 500, 500, tall / camera_height, wide * per_unit / outline)
        assert seen == pytest.approx(outline, rel=0.03)


def test_from_high_above_far_is_still_in_the_picture(background):
    place = at_words(background, "far", 1.0, camera(-200), 0.3)
    assert place.box.top >= 0 and not place.notes, "it stands nearer, not smaller"
    giant = at_words(background, "near", 1.0, camera(100), 3.0)
    assert giant.box.height < 300 and "at its true size" in giant.notes[0]


def test_suggestions_avoid_what_is_there(background):
    busy = background.pixels.copy()
    rng = np.random.default_rng(0)
    busy[140:, 220:] = rng.integers(0, 255, busy[140:, 220:].shape)
    places = suggest(Background("busy.png", busy, None), 1.0, camera(130), 0.6)
    words = [word for word, _ in places]
    assert len(words) == 6
    assert not words[0].startswith("right")
    assert words[-1].startswith("right")
