"""Shadows of known darkness and blur, laid on drawn ground, are measured back."""

import cv2
import numpy as np
import pytest

from packshot.insertion.existing_shadows import measure_shadows

SIZE = 160, 240


def ground(rng, grain=0.01):
    colours = np.broadcast_to(np.float32([0.7, 0.62, 0.5]), (*SIZE, 3))
    return colours * (1 + rng.normal(0, grain, SIZE)[..., None]).astype(np.float32)


def strip(blur=0.0, wide=30):
    """The share of shade in a slanted strip, so many pixels wide from left to right."""
    rows, columns = np.indices(SIZE, dtype=np.float32)
    shade = (np.abs(columns - 60 - 0.5 * rows) < wide / 2).astype(np.float32)
    return cv2.GaussianBlur(shade, (0, 0), blur) if blur else shade


def measured(colours, shade):
    return measure_shadows(colours, np.ones(SIZE, np.float32), shade)


@pytest.mark.parametrize("density", [0.2, 0.4, 0.6])
def test_density_is_how_much_darker_the_shade_is_than_lit_ground(density):
    shade = strip()
    found = measured(ground(np.random.default_rng(0)) * (1 - density * shade[..., None]), shade)
    assert found.density == pytest.approx(density, abs=0.03)
    assert found.area == pytest.approx(shade.mean(), abs=0.02)


def test_density_is_told_under_uneven_light_and_on_coarse_ground():
    shade = strip()
    fall = np.linspace(1, 0.6, SIZE[1], dtype=np.float32)[None, :, None]
    colours = ground(np.random.default_rng(1), grain=0.08) * fall * (1 - 0.4 * shade[..., None])
    assert measured(colours, shade).density == pytest.approx(0.4, abs=0.04)


def test_softness_grows_with_the_edges_blur():
    found = [
        measured(ground(np.random.default_rng(0)) * (1 - 0.5 * strip(blur)[..., None]), strip())
        for blur in (0.0, 2.0, 5.0)
    ]
    sharp, soft, softest = (each.softness for each in found)
    assert sharp < 0.15 < soft < softest
    # A Gaussian's edge rises from a third to two thirds over 0.86 of its deviation.
    assert soft == pytest.approx(3 * 0.86 * np.hypot(2, 0.7) / (30 / np.sqrt(1.25)), rel=0.5)


def test_narrow_shade_does_not_tell_its_softness():
    shade = strip(wide=8)
    found = measured(ground(np.random.default_rng(0)) * (1 - 0.4 * shade[..., None]), shade)
    assert found.density == pytest.approx(0.4, abs=0.1)
    assert found.softness is None


def test_the_sky_may_add_blue_but_paint_is_no_shade():
    shade = strip()[..., None]
    bluish = ground(np.random.default_rng(0)) * (1 - shade * np.float32([0.45, 0.4, 0.32]))
    assert measured(bluish, shade[..., 0]).density == pytest.approx(0.39, abs=0.03)
    painted = ground(np.random.default_rng(0)) * (1 - shade * np.float32([0.1, 0.4, 0.6]))
    assert measured(painted, shade[..., 0]) is None
    black = ground(np.random.default_rng(0)) * (1 - 0.85 * shade)
    assert measured(black, shade[..., 0]) is None, "no sky leaves that little light"


def test_nothing_is_measured_without_shade_or_without_lit_ground_beside_it():
    colours = ground(np.random.default_rng(0))
    assert measured(colours, np.zeros(SIZE, np.float32)) is None
    assert measured(colours, np.ones(SIZE, np.float32)) is None
    assert measured(colours, strip()) is None, "it is no darker there"
    dark = colours * (1 - 0.4 * strip()[..., None])
    assert measure_shadows(dark, np.zeros(SIZE, np.float32), strip()) is None, "that is no ground"


def test_where_shade_lies_may_be_told_more_coarsely():
    shade = strip()
    coarse = cv2.resize(shade, (48, 48), interpolation=cv2.INTER_AREA)
    colours = ground(np.random.default_rng(0)) * (1 - 0.4 * shade[..., None])
    found = measure_shadows(colours, np.ones((48, 48), np.float32), coarse)
    assert found.density == pytest.approx(0.4, abs=0.05)
