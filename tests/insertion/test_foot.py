"""Where things stand, against the shapes of cylinders and boxes seen from above."""

import cv2
import numpy as np
import pytest

from packshot.insertion.foot import foot_of, lower_hull


def cylinder(width=480, height=600, slope=0.35):
    """A cylinder's silhouette, seen from above: half an ellipse below it."""
    alpha = np.zeros((height, width), np.float32)
    half = slope * width / 2
    x = (np.arange(width) + 0.5) / (width / 2) - 1
    lower = height - half * (1 - np.sqrt(1 - x**2))
    alpha[np.arange(height)[:, None] < lower[None]] = 1
    return alpha, half * (1 - np.sqrt(1 - x**2))


@pytest.mark.parametrize("slope", [0.25, 0.35, 0.7])
def test_a_cylinder_touches_along_half_an_ellipse(slope):
    alpha, rise = cylinder(slope=slope)
    foot = foot_of(alpha, slope)
    assert foot.touches.mean() > 0.9
    assert np.abs(foot.rise - rise)[foot.touches].max() <= 1
    assert foot.width == pytest.approx(480, rel=0.05)
    x = np.arange(480) - 239.5
    chord = np.sqrt((240**2 - x**2).clip(0))
    inner = np.abs(x) < 180
    assert np.allclose((foot.far - foot.near)[inner] / 2, chord[inner], rtol=0.12), "a circle"


def test_what_hangs_does_not_touch():
    alpha, _ = cylinder(120, 200, slope=0.2)
    pot = np.pad(alpha, ((0, 0), (60, 60)))
    cv2.ellipse(pot, (200, 90), (35, 40), 0, 0, 360, 1, 12)  # a handle
    cv2.line(pot, (58, 120), (5, 70), 1, 16)  # a spout
    foot = foot_of(pot, 0.2)
    assert foot.touches[65:175].all()
    assert not foot.touches[:50].any() and not foot.touches[190:].any()


def test_a_car_touches_with_its_wheels():
    car = np.zeros((100, 260), np.float32)
    car[20:80] = 1
    for x in (55, 205):
        cv2.circle(car, (x, 80), 19, 1, -1)
    foot = foot_of(car, 0.3)
    assert foot.touches[50:60].all() and foot.touches[200:210].all()
    assert not foot.touches[90:170].any()
    assert foot.near[130] + foot.far[130] == pytest.approx(0.7 * 100), (
        "its body is deep between them"
    )


def test_a_box_over_its_corner_touches_along_both_sides():
    """Its lower edges rise from the corner by the slope on either side."""
    width, slope = 160, 0.4
    x = np.abs(np.arange(width) - 79.5)
    alpha = (np.arange(150)[:, None] < 150 - slope * x[None]).astype(np.float32)
    foot = foot_of(alpha, slope)
    assert foot.touches.all()
    assert np.abs(foot.rise - slope * x).max() <= 1.5


def test_seen_from_the_front_it_is_flat_and_as_deep_as_usual():
    foot = foot_of(np.ones((90, 120), np.float32), 0.2)
    assert foot.touches.all() and foot.rise.max() == 0 and foot.near.max() == 0
    assert np.allclose(foot.far, 0.7 * 90)


def test_nothing_stands_nowhere():
    foot = foot_of(np.zeros((20, 30), np.float32), 0.3)
    assert not foot.touches.any() and foot.width == 1


def test_the_hull_spans_what_lies_higher_between():
    lowest = np.array([10, 4, 4, 8, 10])
    assert np.allclose(lower_hull(lowest, np.arange(5)), 10)
    assert np.allclose(lower_hull(np.array([0, 6, 9, 6, 0]), np.array([1, 2, 3])), [0, 6, 9, 6, 0])


def test_a_photo_from_above_stands_on_all_wheels_before_a_level_camera():
    """Its far wheel is higher in the picture than the background's own slope would have it."""
    car = np.zeros((120, 200), np.float32)
    car[20:80, 10:190] = 1
    for x, y in ((50, 84), (150, 98)):
        cv2.circle(car, (x, y), 20, 1, -1)
    foot = foot_of(car[:119], 0.05)
    assert foot.touches[45:55].all() and foot.touches[145:155].all()
    assert not foot.touches[80:115].any()
