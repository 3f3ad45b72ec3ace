"""Blur and grain are measured back as they were put in."""

import cv2
import numpy as np
import pytest
from skimage import data

from packshot.insertion import optics
from packshot.insertion.optics import add_grain, blur_at, blur_of, grain_of, out_of_focus


def edges(sigma, shape=(240, 320), noise=0.0, seed=0):
    """Dark bars in several directions on light ground, blurred by `sigma`; three channels."""
    picture = np.full((4 * shape[0], 4 * shape[1]), 0.75, np.float32)
    for number, angle in enumerate((5, 40, 75, 110, 160)):
        middle = np.array([250 + 190 * number, 300 + 90 * number])
        way = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * 260
        ends = [tuple(int(v) for v in middle + side * way) for side in (-1, 1)]
        cv2.line(picture, *ends, 0.2, 120)
    # Drawn four times as large: its own edges are as sharp as pixels allow.
    small = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(small, (0, 0), sigma) if sigma else small
    grey = grey + np.random.default_rng(seed).normal(0, noise, shape).astype(np.float32)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.008])
@pytest.mark.parametrize("sigma", [1.0, 1.6, 2.5, 4.0])
def test_blur_is_measured_back(sigma, noise):
    assert blur_of(edges(sigma, noise=noise)) == pytest.approx(sigma, rel=0.15)


def test_sharp_edges_are_sharp_and_calm_ground_tells_nothing():
    assert blur_of(edges(0.0)) < 0.6
    assert blur_of(np.full((80, 90, 3), 0.4, np.float32)) is None


def test_what_lies_on_blurred_ground_is_as_blurred():
    sharp = edges(0.0)
    assert blur_of(out_of_focus(sharp, 2.5)) == pytest.approx(2.5, rel=0.15)
    assert out_of_focus(sharp, 0.5) is sharp and out_of_focus(sharp, None) is sharp


def test_the_blur_of_a_row_is_its_own():
    """Sharp things far away in the picture do not count where the place shows edges."""
    picture = np.concatenate([edges(0.0), edges(3.0), edges(0.0)])
    assert blur_at(picture, 360, slice(0, 320), 90) == pytest.approx(3.0, rel=0.15)
    calm = np.full((600, 320, 3), 0.75, np.float32)
    calm[:240] = edges(2.0)
    assert blur_at(calm, 300, slice(0, 320), 40) == pytest.approx(2.0, rel=0.15), "further off"
    assert blur_at(calm, 560, slice(0, 320), 20) is None


def test_ground_that_is_painted_softly_is_not_out_of_focus():
    soft = 0.5 + 0.07 * (edges(1.0, shape=(600, 320)) - 0.5)
    assert blur_of(soft) == pytest.approx(1.0, rel=0.15)
    assert blur_at(soft, 300, slice(0, 320), 40) is None
    low = 0.5 + 0.15 * (edges(2.0, shape=(600, 320)) - 0.5)
    assert blur_at(low, 300, slice(0, 320), 40) == pytest.approx(2.0, rel=0.15)


def noisy(deviation, level=0.5, coarse=0.0, shape=(320, 320), seed=3):
    noise = np.random.default_rng(seed).normal(0, 1, (*shape, 1)).astype(np.float32)
    if coarse:
        noise = cv2.GaussianBlur(noise, (0, 0), coarse)[..., None]
    return level + deviation * noise / noise.std() * np.ones(3, np.float32)


def luma(grain, level):
    return float(np.sqrt((grain.at(np.float32(level))[:, 0] ** 2).sum()))


def fine(colours):
    """The deviation of what a Gaussian of 2.8 pixels takes away."""
    return float((colours - cv2.GaussianBlur(colours, (0, 0), 2.8))[..., 0].std())


@pytest.mark.parametrize("deviation", [0.006, 0.012, 0.03])
@pytest.mark.parametrize("coarse", [0.0, 0.6])
def test_grain_is_measured_and_added_back(deviation, coarse):
    plate = noisy(deviation, coarse=coarse)
    grain = grain_of([plate])
    flat = np.full((320, 320, 3), 0.5, np.float32)
    made = add_grain(flat, grain, None, seed=1)
    assert fine(made) == pytest.approx(fine(plate), rel=0.15)
    again = grain_of([made])
    for band in range(3):
        assert again.at(np.float32(0.5))[band, 0] == pytest.approx(
            grain.at(np.float32(0.5))[band, 0], rel=0.15
        )


def test_grain_depends_on_brightness():
    dark, light = noisy(0.02, 0.2), noisy(0.008, 0.8, seed=4)
    grain = grain_of([dark, light])
    made = add_grain(
        np.concatenate([np.full((160, 320, 3), v, np.float32) for v in (0.2, 0.8)]), grain, None, 1
    )
    assert fine(made[:150]) == pytest.approx(fine(dark), rel=0.15)
    assert fine(made[170:]) == pytest.approx(fine(light), rel=0.15)


def test_grain_is_not_doubled_and_the_seeds():
    plate, product = noisy(0.02), noisy(0.015, seed=9)
    made = add_grain(product, grain_of([plate]), grain_of([product]), seed=1)
    assert fine(made) == pytest.approx(fine(plate), rel=0.15)
    assert np.allclose(add_grain(plate, grain_of([plate]), grain_of([plate]), 1), plate, atol=1e-3)
    wanted = grain_of([plate])
    assert np.array_equal(add_grain(product, wanted, None, 1), add_grain(product, wanted, None, 1))
    assert not np.array_equal(
        add_grain(product, wanted, None, 1), add_grain(product, wanted, None, 2)
    )


@pytest.mark.parametrize("name", ["gravel", "grass", "brick"])
def test_a_texture_is_no_grain(name):
    """Photographs of textures, which are ten times as strong as what may be taken for grain."""
    grey = getattr(data, name)().astype(np.float32) / 255
    plate = np.repeat(grey[..., None], 3, axis=2)
    assert fine(plate) > 0.04
    assert max(luma(grain_of([plate]), level) for level in (0.3, 0.5, 0.7)) < 0.01
    calm = grain_of([plate, noisy(0.004, 0.9)])
    assert luma(calm, 0.5) < 0.008, "where it is calm the grain shows"


def test_too_small_a_piece_tells_nothing():
    assert grain_of([noisy(0.02, shape=(12, 40))]) is None
    assert grain_of([noisy(0.02)], np.zeros((320, 320), np.float32)) is None
    assert optics.grain_of([noisy(0.02)[:16, :16]]) is not None
