"""The camera against points of the world, projected by matrices that are written out here."""

import math

import numpy as np
import pytest

from packshot.insertion.camera import Camera

WIDTH, HEIGHT = 800, 600
CASES = [
    (pitch, roll, focal)
    for pitch in (-5, 0, 12, 40)
    for roll in (-6, 0, 9)
    for focal in (500.0, 1400.0)
]


def looking(pitch, roll, focal):
    return Camera(WIDTH, HEIGHT, focal, math.radians(pitch), math.radians(roll))


def seen(point, pitch, roll, focal):
    """Where a camera at the origin sees (right, up, away): turned about its axes, then projected."""
    p, r = math.radians(pitch), math.radians(roll)
    right, up, away = point
    level = np.array([right, -up, away])  # right, down, forward
    down = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    clockwise = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    x, y, z = clockwise @ down @ level
    assert z > 0
    return WIDTH / 2 + focal * x / z, HEIGHT / 2 + focal * y / z


def ground(case):
    """Points of the ground, one camera height below, that lie in front of the camera."""
    away = 1.5 if case[0] > 20 else 6.0
    return [(0.4 * away * side, -1.0, away * far) for side in (-1, 0, 1) for far in (1, 2.5)]


@pytest.mark.parametrize("case", CASES)
def test_angles_below_the_horizon(case):
    camera = looking(*case)
    for right, up, away in ground(case):
        expected = math.atan2(-up, math.hypot(right, away))
        assert camera.below_horizon(*seen((right, up, away), *case)) == pytest.approx(expected)


@pytest.mark.parametrize("case", CASES)
def test_the_horizon_is_where_what_is_level_is_seen(case):
    camera = looking(*case)
    x, y = seen((0.0, 0.0, 5.0), *case)
    rise = math.tan(camera.roll) * (WIDTH / 2 - x)
    assert camera.horizon == pytest.approx(y + rise)
    again = Camera.with_horizon(WIDTH, HEIGHT, camera.horizon, camera.focal, camera.roll)
    assert again.pitch == pytest.approx(camera.pitch)


@pytest.mark.parametrize("case", CASES)
def test_heights_and_distances_on_the_ground(case):
    camera = looking(*case)
    places = ground(case)
    for right, up, away in places:
        foot, top = seen((right, up, away), *case), seen((right, up + 0.3, away), *case)
        assert camera.seen_height(*foot, 0.3) == pytest.approx(math.dist(foot, top))
        assert camera.height_of(foot, top) == pytest.approx(0.3)
    first, last = places[0], places[-1]
    apart = camera.distance_between(seen(first, *case), seen(last, *case))
    assert apart == pytest.approx(math.dist(first, last))


@pytest.mark.parametrize("case", CASES)
def test_uprights_lean_as_they_are_projected(case):
    camera = looking(*case)
    for right, up, away in ground(case):
        foot, top = seen((right, up, away), *case), seen((right, up + 1e-4, away), *case)
        expected = math.atan2(top[0] - foot[0], foot[1] - top[1])
        assert camera.tilt(*foot) == pytest.approx(expected, abs=1e-3)


def test_near_the_horizon_there_is_no_ground_and_over_the_camera_no_end():
    camera = looking(0, 0, 800.0)
    assert camera.pixels_per_height(400, 300) == camera.pixels_per_height(400, 100) > 0
    assert looking(60, 0, 800.0).seen_height(400, 500, 5.0) == math.inf
