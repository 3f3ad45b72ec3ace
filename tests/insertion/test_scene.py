"""A scene is told in its crop's pixels: moved back by the crop's corner, all is the background's."""

import numpy as np
import pytest

from packshot.insertion.background import Box
from packshot.insertion.insert import _scene
from packshot.insertion.lighting import LightEstimator
from packshot.insertion.placement import Placement
from packshot.insertion.settings import InsertionSettings
from packshot.insertion.shadows import Ground
from tests.insertion.scenes import background

PLATE = background("sand", 400)
"""400 x 300, its horizon at 120."""


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


def test_the_light_is_as_it_is_given_and_else_as_the_plate_shows_it():
    seen = LightEstimator().estimate(PLATE.whole(384)[0])
    place = Placement(Box(150, 150, 60, 40))
    assert _scene(PLATE, place, InsertionSettings()).light == seen
    given = _scene(PLATE, place, InsertionSettings(light_azimuth_degrees=0.0)).light
    assert (given.azimuth_degrees, given.confidence) == (0.0, 1.0)
    assert (given.elevation_degrees, given.hardness) == (seen.elevation_degrees, seen.hardness)
    told = InsertionSettings(light_elevation_degrees=33.0, light_hardness=0.0)
    light = _scene(PLATE, place, told).light
    assert (light.elevation_degrees, light.hardness) == (33.0, 0.0)
    assert (light.azimuth_degrees, light.confidence) == (seen.azimuth_degrees, seen.confidence)
