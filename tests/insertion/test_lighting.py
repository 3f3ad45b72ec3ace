import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from packshot.errors import ModelLoadError
from packshot.insertion.lighting import CLEAR, Light, LightEstimator, most_likely
from packshot.insertion.lighting_network import SECTORS
from tests.backgrounds import landscape


def test_a_shadow_falls_away_from_the_light_and_is_longer_the_lower_it_stands():
    right = Light(0, 45, 1).shadow_of(2.0)
    assert right == pytest.approx((-2.0, 0.0))
    behind = Light(90, 30, 1).shadow_of(1.0)
    assert behind == pytest.approx((0.0, -math.sqrt(3)), abs=1e-6)


def test_the_harder_the_light_the_darker_and_sharper_its_shadow_unless_they_were_measured():
    hard, soft = Light(0, 60, 1.0), Light(0, 60, 0.0)
    assert hard.density > soft.density
    assert hard.softness == 0 < soft.softness
    measured = Light(0, 60, 1.0, measured_density=0.4, measured_softness=0.3)
    assert (measured.density, measured.softness) == (0.4, 0.3)


def test_measured_shade_is_never_fainter_than_a_suns():
    """Under a clear sky no less than a third of the brightness is the sun's; clouds throw fainter shade."""
    assert Light(0, 60, 1.0, measured_density=0.08).density == Light(0, 60, 0.0).density > 0.3
    assert Light(0, 60, 0.1, measured_density=0.08).density == 0.08


def test_the_less_is_known_of_a_lights_side_the_fainter_its_shadow():
    light = Light(200, 15, 0.95, measured_density=0.6)
    vague, vaguer = (replace(light, confidence=share).as_ambient() for share in (0.4, 0.1))
    chance = 40 / 360  # of a direction within 20 degrees, if nothing is known
    assert vague.density == pytest.approx(0.6 * (0.4 - chance) / (1 - chance))
    assert vaguer.density == vaguer.hardness == 0, "no better than chance"
    assert vaguer.hardness < vague.hardness < 0.5 and vague.softness == 1
    assert (vague.azimuth_degrees, vague.elevation_degrees, vague.confidence) == (200, 15, 0.4)


def test_of_hard_light_most_comes_from_its_side_and_of_an_overcast_skys_nothing():
    assert Light(0, 60, 0.0).direct == 0
    # What is left in full shade is the sky's.
    assert Light(0, 60, 1.0, measured_density=0.5).direct == pytest.approx(1 - 0.5**2.2)


@pytest.mark.parametrize("azimuth", [5.0, 95.0, 263.0, 358.0])
def test_the_likeliest_azimuth_is_the_middle_of_what_is_likely(azimuth):
    centres = (np.arange(SECTORS) + 0.5) * 360 / SECTORS
    apart = (centres - azimuth + 180) % 360 - 180
    shares = np.exp(-0.5 * (apart / 8) ** 2)
    shares *= 0.7 / shares.sum()
    found, confidence = most_likely(shares)
    assert abs((found - azimuth + 180) % 360 - 180) < 4
    # Of a Gaussian, 20 degrees to each side are 2.5 deviations.
    assert confidence == pytest.approx(0.7 * math.erf(2.5 / math.sqrt(2)), abs=0.02)


def test_confidence_is_what_lies_within_20_degrees():
    shares = np.zeros((3, SECTORS))
    shares[0, [35, 0]] = 0.4, 0.4
    shares[1] = 1 / SECTORS
    shares[2, [3, 21]] = 0.5, 0.5
    azimuths, confidences = most_likely(shares)
    assert azimuths[0] == pytest.approx(0)
    assert confidences.tolist() == pytest.approx([0.8, 4 / 36, 0.5])


def sunlit(size=192):
    """A post on sand under a sun from the right, high behind it: its shadow falls to the left."""
    rng = np.random.default_rng(0)
    colours = np.empty((size, size, 3), np.float32)
    colours[:] = (0.55, 0.7, 0.92)
    horizon, foot = round(0.4 * size), (round(0.6 * size), round(0.7 * size))
    sand = np.float32([0.78, 0.7, 0.55]) * (1 + rng.normal(0, 0.03, (size, size))[..., None])
    colours[horizon:] = sand[horizon:]
    shadow = np.zeros((size, size), np.float32)
    cv2.line(shadow, foot, (foot[0] - round(0.4 * size), foot[1] + 4), 1.0, 9)
    colours *= 1 - shadow[..., None] * np.float32([0.6, 0.55, 0.45])
    top = round(0.22 * size)
    colours[top : foot[1], foot[0] - 6 : foot[0]] = (0.3, 0.24, 0.2)
    colours[top : foot[1], foot[0] : foot[0] + 6] = (0.75, 0.62, 0.5)
    return cv2.GaussianBlur(colours, (0, 0), 0.6)


def test_the_bundled_estimator_sees_a_post_s_shadow_and_mirrors_with_the_background():
    estimator = LightEstimator()
    own, mirrored = estimator.estimate(sunlit()), estimator.estimate(sunlit()[:, ::-1])
    assert abs((own.azimuth_degrees + 180) % 360 - 180) < 40, "from the right"
    other_side = (180 - mirrored.azimuth_degrees) % 360
    assert abs((own.azimuth_degrees - other_side + 180) % 360 - 180) < 10
    assert own.confidence == pytest.approx(mirrored.confidence, abs=0.1)


def test_the_bundled_estimator_is_not_sure_where_nothing_shows_a_sun():
    estimator = LightEstimator()
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0.5, 0.3, (160, 240, 3)).astype(np.float32), (0, 0), 2)
    for background in (landscape().astype(np.float32) / 255, grain, np.full_like(grain, 0.6)):
        assert estimator.estimate(background).confidence < CLEAR


def test_other_weights_are_refused():
    with pytest.raises(ModelLoadError, match="do not fit"):
        LightEstimator({"out.bias": torch.zeros(4)})
