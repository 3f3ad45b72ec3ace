"""The background's own contact shade, measured back."""

import cv2
import numpy as np
import pytest

from packshot.insertion.background import Box
from packshot.insertion.ground_shade import contact_density
from packshot.insertion.shadows import Ground

GROUND = Ground(horizon=60, middle=200, focal=480)
BOX = Box(250, 130, 70, 90)


def place(darkness, lit=0.6):
    """Two light boxes on the ground, each with a dark line at its foot."""
    picture = np.full((300, 400, 3), lit, np.float32)
    picture[:60] = 0.8
    for left in (40, 150):
        picture[120:200, left : left + 80] = 0.75
        picture[200:204, left : left + 80] = lit * (1 - darkness)
    cv2.rectangle(picture, (0, 0), (20, 40), (0.0, 0.0, 0.0), -1)  # something black far away
    return picture


@pytest.mark.parametrize("darkness", [0.74, 0.82, 0.9])
def test_the_darkest_contact_is_measured(darkness):
    assert contact_density(place(darkness), GROUND, BOX) == pytest.approx(darkness, abs=0.05)


def test_without_any_it_anchors_all_the_same_and_ink_is_no_shade():
    empty = np.random.default_rng(0).normal(0.6, 0.02, (300, 400, 1)).astype(np.float32)
    empty = np.repeat(empty, 3, axis=2)
    empty[:20, :20] = 0
    assert contact_density(empty, GROUND, BOX) == pytest.approx(0.68)
    assert contact_density(place(1.0), GROUND, BOX) == pytest.approx(0.92)


def test_in_haze_nothing_is_darker_than_the_haze():
    hazy = 0.45 + 0.5 * place(0.9)
    assert contact_density(hazy, GROUND, BOX) < 0.5


def test_it_does_not_depend_on_the_resolution():
    large = cv2.resize(place(0.82), None, fx=3, fy=3, interpolation=cv2.INTER_LINEAR)
    ground, box = Ground(180, 600, 1440), Box(750, 390, 210, 270)
    small = contact_density(place(0.82), GROUND, BOX)
    assert contact_density(large, ground, box) == pytest.approx(small, abs=0.05)


def test_a_sliver_of_ground_tells_nothing():
    assert contact_density(place(0.9)[:65], GROUND, Box(250, 10, 70, 50)) == pytest.approx(0.68)
