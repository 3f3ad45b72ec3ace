"""Light, focus and grain against what was put in."""

import cv2
import numpy as np
import pytest

from packshot.insertion import optics
from packshot.insertion.harmonize import Look, harmonize, missing_blur, relit
from packshot.insertion.quality_checks import colour

ALPHA = np.ones((160, 200), np.float32)


def flat(value, shape=(160, 200)):
    return np.broadcast_to(np.float32(value), (*shape, 3)).astype(np.float32)


def noise(deviation, shape=(160, 200), seed=5):
    return np.random.default_rng(seed).normal(0, deviation, (*shape, 1)).astype(np.float32)


def photo(value):
    return np.full((9, 3), value, np.float32)


def printed():
    """Dark letters on light."""
    label = flat(0.8).copy()
    for column in range(12, 190, 40):
        label[20:140, column : column + 22] = 0.1
    return label


@pytest.mark.parametrize("there,gain", [(0.5, 1.0), (0.4, 1.25**0.35), (0.6, (5 / 6) ** 0.35)])
def test_exposure_goes_a_third_of_the_way(there, gain):
    """Of the background's 0.5 over its photo's light, in stops."""
    black = flat(0.5).copy()
    black[:8] = 0  # no haze: something in it is black
    assert np.allclose(relit(flat(0.4), ALPHA, black, photo(there)), 0.4 * gain, atol=2e-3)


@pytest.mark.parametrize("there", [0.02, 0.1, 1.0])
@pytest.mark.parametrize(
    "own", [(0.8, 0.1, 0.1), (0.1, 0.2, 0.7), (0.9, 0.8, 0.1), (0.1, 0.1, 0.1)]
)
def test_no_light_moves_the_brands_colours_beyond_the_check(own, there):
    product = flat(own)
    moved = relit(product, ALPHA, flat([0.9, 0.6, 0.3]), photo(there))
    assert np.abs(moved - product).max() > 0.005
    assert colour(moved.clip(0, 1), ALPHA, product).passed


def test_the_cast_turns_towards_the_plates_and_not_far():
    warm = relit(flat(0.4), ALPHA, flat([0.52, 0.5, 0.48]), photo(0.5))[0, 0]
    assert warm[0] / warm[2] == pytest.approx((0.52 / 0.48) ** 0.35, rel=0.02)
    far = relit(flat(0.4), ALPHA, flat([1.0, 0.5, 0.1]), photo(0.5))[0, 0]
    assert far[0] / far[2] <= 1.05 / 0.95 + 1e-3


def test_highlights_are_not_lost_and_a_photo_without_background_tells_nothing():
    bright = flat(0.95).copy()
    bright[:40] = 0.3
    assert relit(bright, ALPHA, flat(0.9), photo(0.1)).max() < 0.995
    alone = relit(flat(0.4), ALPHA, flat(0.9), np.zeros((0, 3), np.float32))
    assert np.allclose(alone, 0.4)


def test_black_is_as_in_the_haze_about_it_and_hardly_moved():
    product = flat(0.0).copy()
    product[80:] = 0.5
    seen = relit(product, ALPHA, flat(0.5), photo(0.5))
    assert 0.005 < seen[0, 0, 0] <= 0.021
    clear = flat(0.5).copy()
    clear[:8] = 0
    assert np.allclose(relit(product, ALPHA, clear, photo(0.5)), product, atol=2e-3)


def test_it_is_as_blurred_as_its_place():
    label = printed()
    own = optics.blur_of(label)
    made, alpha = harmonize(label, ALPHA, Look(flat(0.5), 2.0, None), photo(0.5), 0)
    assert optics.blur_of(made) == pytest.approx(0.85 * 2.0, rel=0.15), "a little sharper"
    assert own < 1 and alpha.shape == ALPHA.shape


def test_print_is_not_blurred_for_nothing_nor_too_far():
    label = printed()
    for there in (None, 0.3, optics.blur_of(label)):
        assert missing_blur(label, ALPHA, there) == 0
    soft = cv2.GaussianBlur(label, (0, 0), 3)
    assert missing_blur(soft, ALPHA, 2.5) == 0, "it is softer already"
    assert missing_blur(label, ALPHA, 50.0) == pytest.approx(0.015 * len(label))


def test_its_rim_is_as_soft_as_the_rest_of_it():
    alpha = np.zeros_like(ALPHA)
    alpha[40:120, 50:150] = 1
    _, seen = harmonize(printed(), alpha, Look(flat(0.5), 2.0, None), photo(0.5), 0)
    across = seen[80, 40:60]
    assert 0.01 < across[6] < 0.4 < 0.6 < across[13] < 0.99
    assert seen.sum() == pytest.approx(alpha.sum(), rel=0.01)


def test_the_plates_grain_comes_over_the_product_and_its_own_is_not_doubled():
    plate = 0.5 + noise(0.02) * np.ones(3, np.float32)
    look = Look(flat(0.5), None, optics.grain_of([plate]))

    def fine(colours):
        return float((colours - cv2.GaussianBlur(colours, (0, 0), 2.8))[..., 0].std())

    clean, _ = harmonize(flat(0.5), ALPHA, look, photo(0.5), 1)
    assert fine(clean) == pytest.approx(fine(plate), rel=0.15)
    own = 0.5 + noise(0.012, seed=8) * np.ones(3, np.float32)
    made, _ = harmonize(own, ALPHA, look, photo(0.5), 1)
    assert fine(made) == pytest.approx(fine(plate), rel=0.15)
    again, other = (harmonize(flat(0.5), ALPHA, look, photo(0.5), seed)[0] for seed in (1, 2))
    assert np.array_equal(clean, again) and not np.array_equal(clean, other)
