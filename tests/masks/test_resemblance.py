import cv2
import numpy as np
import pytest
import torch

from packshot.masks.regions import overlap
from packshot.masks.resemblance import likeness, looks, resemblances, with_alike, without_unlike
from packshot.masks.shot_network import ShotNetwork

GROUNDS = (90, 140, 90), (60, 60, 120), (150, 140, 120), (40, 80, 60)


def photo(number, saucer=False):
    """A red cup on some ground, with or without a blue saucer; pixels, the cup, and both."""
    rng = np.random.default_rng(number)
    pixels = np.empty((192, 192, 3), np.float32)
    pixels[:] = GROUNDS[number]
    cup, both = np.zeros((2, 192, 192), np.uint8)
    across, down = 96 + 10 * number, 90 + 6 * number
    if saucer:
        cv2.ellipse(both, (across, down + 40), (60, 26), 0, 0, 360, 1, -1)
        pixels[both > 0] = 40, 60, 200
    cv2.rectangle(cup, (across - 26, down - 34), (across + 26, down + 34), 1, -1)
    pixels[cup > 0] = 200, 40, 30
    noisy = (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
    return noisy, cup > 0, (both | cup) > 0


@pytest.fixture(scope="module")
def odds_of_the_last():
    """Of the last of four photos, the only one with a saucer; its mask takes the saucer for the cup."""
    torch.manual_seed(0)
    network = ShotNetwork().eval()
    photos = [photo(number, saucer=number == 3) for number in range(4)]
    regions = [both for _, _, both in photos]
    return resemblances(lambda n: looks(network.features, photos[n][0]), regions)[3]


def test_others_tell_that_the_saucer_is_not_the_product(odds_of_the_last):
    pixels, cup, both = photo(3, saucer=True)
    large = cv2.resize(odds_of_the_last, (192, 192))
    assert (large[cup] > 0).mean() > 0.9
    assert (large[both & ~cup] < 0).mean() > 0.9
    assert likeness(odds_of_the_last, cup) > likeness(odds_of_the_last, both) + 0.1
    assert overlap(without_unlike(pixels, both, odds_of_the_last), cup) > 0.95


def test_little_is_not_left_off(odds_of_the_last):
    pixels, cup, _ = photo(3, saucer=True)
    wide = cv2.dilate(cup.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.array_equal(without_unlike(pixels, wide, odds_of_the_last), wide)


def test_a_lost_part_is_added_and_a_saucer_is_not(odds_of_the_last):
    _, cup, both = photo(3, saucer=True)
    lost = cup.copy()
    lost[: np.flatnonzero(cup.any(axis=1))[0] + 8] = False
    found = with_alike(lost, both, odds_of_the_last)
    assert overlap(found, cup) > 0.99 > overlap(lost, cup) + 0.05
    assert not (found & ~cup & both)[-20:].any()


def test_a_rim_is_not_added(odds_of_the_last):
    _, cup, _ = photo(3, saucer=True)
    wide = cv2.dilate(cup.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert np.array_equal(with_alike(cup, wide, odds_of_the_last), cup)


def test_nothing_is_unlike_everything():
    assert likeness(np.zeros((96, 96), np.float32), np.zeros((192, 192), bool)) == -1


def test_the_same_photos_give_the_same_and_leave_the_random_numbers_alone():
    torch.manual_seed(3)
    network = ShotNetwork().eval()
    photos = [photo(number) for number in range(2)]
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        found = resemblances(
            lambda n: looks(network.features, photos[n][0]), [cup for _, cup, _ in photos]
        )
        runs.append((found, torch.rand(1)))
    assert all(np.array_equal(one, two) for one, two in zip(runs[0][0], runs[1][0], strict=True))
    torch.manual_seed(5)
    assert runs[0][1] == torch.rand(1)
