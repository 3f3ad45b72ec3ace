"""Noise, light and sharpness against what was put in."""

import cv2
import numpy as np
import pytest

from packshot.insertion.harmonize import grain, harmonize, sharpness

ALPHA = np.ones((60, 80), np.float32)


def flat(value, shape=(60, 80), noise=0.0, seed=5):
    colours = np.broadcast_to(np.float32(value), (*shape, 3)).astype(np.float32)
    return colours + np.random.default_rng(seed).normal(0, noise, shape)[..., None].astype("f4")


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_grain_is_the_noises_deviation_and_edges_are_none(noise):
    picture = flat(0.5, (200, 200), noise)
    assert grain(picture) == pytest.approx(noise, rel=0.08)
    picture[:, 100:] += 0.3
    assert grain(picture) == pytest.approx(noise, rel=0.1)
    assert grain(flat(0.5)) == 0


def test_the_plates_grain_comes_over_the_product_and_no_more():
    around = flat(0.5, (200, 200), 0.02)
    photo = np.full((9, 3), 0.5, np.float32)
    seen = harmonize(flat(0.5), ALPHA, around, photo, seed=1)
    assert grain(seen) == pytest.approx(0.02, rel=0.2)
    assert np.array_equal(seen, harmonize(flat(0.5), ALPHA, around, photo, seed=1))
    assert not np.array_equal(seen, harmonize(flat(0.5), ALPHA, around, photo, seed=2))
    noisy = flat(0.5, noise=0.03)
    assert grain(harmonize(noisy, ALPHA, around, photo, 1)) == pytest.approx(grain(noisy), rel=0.01)


@pytest.mark.parametrize(
    "there,gain",
    [
        (0.5, 1.0),
        (0.4, (0.5 / 0.4) ** 0.25),
        (0.05, 1.12),
        (0.6, (0.5 / 0.6) ** 0.25),
        (1, 1 / 1.12),
    ],
)
def test_exposure_goes_a_quarter_of_the_way_within_limits(there, gain):
    """Of the background's 0.5 over its photo's light, in stops."""
    photo = np.full((9, 3), there, np.float32)
    seen = harmonize(flat(0.4), ALPHA, flat(0.5), photo, 0)
    assert np.allclose(seen, 0.4 * gain, atol=1e-4)


def test_the_cast_turns_towards_the_plates_and_not_far():
    photo = np.full((9, 3), 0.5, np.float32)
    warm = harmonize(flat(0.4), ALPHA, flat([0.52, 0.5, 0.48]), photo, 0)[0, 0]
    assert warm[0] / warm[1] == pytest.approx(1.04**0.25, rel=1e-3)
    far = harmonize(flat(0.4), ALPHA, flat([1.0, 0.5, 0.1]), photo, 0)[0, 0]
    assert far[0] / far[2] == pytest.approx(1.03 / 0.97, rel=1e-3)


def test_highlights_are_not_lost_and_a_photo_without_background_tells_nothing():
    bright = flat(0.95)
    bright[:10] = 0.3
    seen = harmonize(bright, ALPHA, flat(0.9), np.full((9, 3), 0.1, np.float32), 0)
    assert seen.max() < 0.995, "it would have been 0.95 x 1.12"
    alone = harmonize(flat(0.4), ALPHA, flat(0.9), np.zeros((0, 3), np.float32), 0)
    assert np.allclose(alone, 0.4)


def test_sharpness_is_the_laplacians_98th_percentile_where_asked():
    picture = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    grey = picture @ np.float32([0.299, 0.587, 0.114])
    padded = np.pad(grey, 1, mode="reflect")
    laplacian = (
        padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
    )
    wanted = np.quantile(np.abs(laplacian), 0.98)
    assert sharpness(picture) == pytest.approx(wanted, rel=1e-3)
    half = np.zeros((40, 50), np.float32)
    half[:, :25] = 1
    wanted = np.quantile(np.abs(laplacian[:, :25]), 0.98)
    assert sharpness(picture, half) == pytest.approx(wanted, rel=1e-3)
    assert sharpness(picture, 0 * half) == 0


def test_a_sharp_product_is_softened_a_little_on_calm_ground_and_not_on_rough():
    stripes = flat(0.2)
    stripes[:, ::2] = 0.8
    photo = np.full((9, 3), 0.5, np.float32)
    rough = flat(0.5)
    rough[::2] += 0.3
    assert np.allclose(harmonize(stripes, ALPHA, rough, np.zeros((0, 3)), 0), stripes)
    calm = harmonize(stripes, ALPHA, flat(0.5), photo, 0)
    assert sharpness(calm) < sharpness(stripes)
    assert np.abs(calm - stripes).max() > 0.02
    assert np.allclose(calm, cv2.GaussianBlur(stripes, (0, 0), 0.7), atol=1e-4), "never by more"
