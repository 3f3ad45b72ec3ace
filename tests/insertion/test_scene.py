"""A scene is told in its crop's pixels: moved back by the crop's corner, all is the background's."""

from dataclasses import replace

import numpy as np
import pytest

from packshot.insertion.background import Box
from packshot.insertion.insert import _scene
from packshot.insertion.lighting import CLEAR, Light, LightEstimator
from packshot.insertion.placement import Placement
from packshot.insertion.settings import InsertionSettings
from packshot.insertion.shadows import Ground
from tests.insertion.scenes import background

PLATE = background("sand", 400)
"""400 x 300, its horizon at 120."""
PLACE = Placement(Box(150, 150, 60, 40))


@pytest.mark.parametrize(
    "box,crop",
    [
        (Box(150, 150, 60, 40), Box(90, 120, 180, 130)),
        (Box(10, 20, 60, 40), Box(0, 0, 130, 120)),
        (Box(330, 240, 60, 40), Box(270, 210, 130, 90)),
    ],
)
def test_the_crop_reaches_about_the_place_inside_the_background(box, crop):
    mask = np.ones((40, 60), np.float32)
    made = _scene(PLATE, Placement(box, mask), InsertionSettings(horizon=120.0))
    assert made.crop == crop
    assert np.array_equal(made.image, PLATE.pixels[crop.region].astype(np.float32) / 255)
    moved = Box(box.left - crop.left, box.top - crop.top, box.width, box.height)
    assert made.placement.box == moved
    assert made.placement.mask is mask
    whole = Ground.of(400, 120.0, box)
    points = np.float32([-0.4, 0.3]), np.float32([3, 5]), np.float32([0, 0.5])
    seen = made.ground.seen(*points) + np.float32([crop.left, crop.top])
    assert np.allclose(seen, whole.seen(*points), atol=1e-3)


@pytest.fixture
def shown(monkeypatch):
    """Lets the estimator tell a light with that confidence; returns it."""

    def tell(confidence):
        light = Light(200.0, 25.0, 0.9, confidence, measured_density=0.5, measured_softness=0.1)
        monkeypatch.setattr(LightEstimator, "estimate", lambda self, colours: light)
        return light

    return tell


def test_a_light_that_the_plate_shows_clearly_is_taken(shown):
    light = shown(0.9)
    assert _scene(PLATE, PLACE, InsertionSettings()).light == light


def test_a_light_that_is_not_clear_casts_a_faint_soft_shadow(shown):
    light = shown(CLEAR - 0.01)
    assert _scene(PLATE, PLACE, InsertionSettings()).light == light.as_ambient()


@pytest.mark.parametrize("confidence", [0.1, 0.9])
def test_a_direction_that_is_given_is_certain_and_the_rest_is_as_the_plate_shows_it(
    shown, confidence
):
    light = shown(confidence)
    given = _scene(PLATE, PLACE, InsertionSettings(light_azimuth_degrees=0.0)).light
    assert given == replace(light, azimuth_degrees=0.0, confidence=1.0)


@pytest.mark.parametrize("confidence", [0.1, 0.9])
def test_height_and_hardness_are_as_given_and_say_how_dark_the_shadow_is(shown, confidence):
    light = shown(confidence)
    told = InsertionSettings(light_elevation_degrees=33.0, light_hardness=1.0)
    given = _scene(PLATE, PLACE, told).light
    assert (given.elevation_degrees, given.hardness) == (33.0, 1.0)
    assert (given.density, given.softness) == (Light(0, 33, 1.0).density, 0.0)
    assert (given.azimuth_degrees, given.confidence) == (200.0, light.confidence)
