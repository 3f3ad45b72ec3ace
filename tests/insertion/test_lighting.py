import math

import numpy as np
import pytest

from packshot.errors import ModelLoadError
from packshot.insertion.lighting import Light, LightEstimator
from tests.backgrounds import landscape


def test_a_shadow_falls_away_from_the_light_and_is_longer_the_lower_it_stands():
    right = Light(0, 45, 1).shadow_of(2.0)
    assert right == pytest.approx((-2.0, 0.0))
    behind = Light(90, 30, 1).shadow_of(1.0)
    assert behind == pytest.approx((0.0, -math.sqrt(3)), abs=1e-6)
    assert Light(0, 60, 1.0).density > Light(0, 60, 0.0).density


def test_the_bundled_estimator_mirrors_with_the_background():
    background = landscape().astype(np.float32) / 255
    background[:, :200] *= 0.7
    estimator = LightEstimator()
    own, mirrored = estimator.estimate(background), estimator.estimate(background[:, ::-1])
    assert own.elevation_degrees == pytest.approx(mirrored.elevation_degrees, abs=1)
    other_side = (180 - mirrored.azimuth_degrees) % 360
    assert abs((own.azimuth_degrees - other_side + 180) % 360 - 180) < 3
    assert 0 <= own.confidence <= 1
    assert 0 <= own.hardness <= 1


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelLoadError, match=r"is not a \.safetensors file"):
        LightEstimator(tmp_path)
