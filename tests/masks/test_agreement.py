"""Several photos of one product tell it from what stands beside it in each."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from packshot.masks.agreement import View, choose
from packshot.masks.proposals import SIDE, propose, propose_anywhere
from packshot.masks.regions import overlap

PRODUCT = (200, 40, 60)
BESIDE = [(40, 60, 200), (230, 200, 40), (60, 180, 90)]
GROUNDS = [(120, 120, 115), (90, 110, 130), (140, 125, 100)]


def scene(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo with two things that are equally conspicuous: pixels, the product, the other thing."""
    rng = np.random.default_rng(index)
    pixels = np.full((SIDE, SIDE, 3), GROUNDS[index], np.uint8)
    left, right = (int(side + rng.integers(-4, 5)) for side in (36, 78))
    sides = (left, right) if index % 2 else (right, left)
    regions = []
    for centre, colour in zip(sides, (PRODUCT, BESIDE[index]), strict=True):
        canvas = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(canvas, (centre, 58), (15, 24), 0, 0, 360, 1, -1)
        pixels[canvas > 0] = colour
        regions.append(canvas > 0)
    noise = rng.integers(-10, 11, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8), regions[0], regions[1]


def viewed(pixels: np.ndarray, probabilities: np.ndarray) -> View:
    return View(pixels, probabilities, propose(pixels, probabilities, propose_anywhere(pixels)))


@pytest.fixture(scope="module")
def scenes():
    return [scene(index) for index in range(3)]


@pytest.fixture(scope="module")
def views(scenes):
    """The network finds the other thing in each."""
    return [viewed(pixels, other.astype(np.float32)) for pixels, _, other in scenes]


def test_both_things_are_proposed(scenes, views) -> None:
    for (_, product, other), view in zip(scenes, views, strict=True):
        for thing in (product, other):
            assert max(overlap(thing, region) for region in view.proposals) > 0.9


def test_alone_each_photo_believes_the_network(scenes, views) -> None:
    for (_, _, other), view in zip(scenes, views, strict=True):
        (chosen,) = choose([view])
        assert view.proposals[chosen][other].mean() > 0.9


def test_together_they_find_what_they_have_in_common(scenes, views) -> None:
    for (_, product, _), view, chosen in zip(scenes, views, choose(views), strict=True):
        assert overlap(product, view.proposals[chosen]) > 0.9


def test_what_a_person_drew_decides_between_equals(scenes) -> None:
    nothing = np.full((SIDE, SIDE), 0.5, np.float32)
    pixels, product, other = scenes[0]
    pairs = []
    for drawn in (product, other):
        # The second photo has both things of the first, so that only the drawing can tell.
        views = [View(pixels, nothing, [drawn]), View(pixels, nothing, [product, other])]
        pairs.append(choose(views))
    assert pairs == [[0, 0], [0, 1]]
