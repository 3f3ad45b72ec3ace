"""Reflections against what mirrors do."""

import numpy as np
import pytest

from packshot.insertion.background import Box
from packshot.insertion.reflection import fresnel, reflected
from packshot.insertion.shadows import Ground, Standing

GROUND = Ground(horizon=0, middle=30, focal=72)
BOX = Box(10, 20, 30, 40)
PRODUCT = np.linspace(0, 1, 40, dtype=np.float32)[:, None, None].repeat(30, 1).repeat(3, 2)
ALPHA = np.ones((40, 30), np.float32)
PLATE = np.full((120, 60, 3), 0.2, np.float32)


def seen(strength, alpha=ALPHA, ground=GROUND):
    return reflected(PLATE, PRODUCT, alpha, Standing.of(alpha, BOX, ground), strength)


def test_it_is_the_product_upside_down_and_fades():
    colours, weight = seen(0.8)
    assert weight[60, 25] == pytest.approx(0.8, abs=0.02)
    assert (np.diff(weight[60:95, 25]) < 0).all()
    own = (colours - PLATE * (1 - weight[..., None]))[60:90, 25, 0] / weight[60:90, 25]
    assert own[2] > own[15] > own[25]
    assert own[15] == pytest.approx(PRODUCT[40 - 1 - 15, 0, 0], abs=0.06)
    assert np.array_equal(colours[weight == 0], PLATE[weight == 0])
    assert not weight[:60].any()


def test_none_is_wanted_or_there_is_no_room():
    colours, weight = seen(0)
    assert colours is PLATE and not weight.any()
    low = Box(10, 80, 30, 40)
    _, weight = reflected(PLATE, PRODUCT, ALPHA, Standing.of(ALPHA, low, GROUND), 1.0)
    assert not weight.any()


def test_one_looks_at_it_more_steeply_further_down():
    """Schlick: 4 per cent straight from above, all at grazing."""
    assert fresnel(0.0) == pytest.approx(1)
    assert fresnel(1e6) == pytest.approx(0.04, abs=1e-3)
    assert fresnel(np.tan(np.radians(30))) == pytest.approx(0.04 + 0.96 * 0.5**5)
    _, far = seen(0.8, ground=Ground(-400, 30, 72))
    _, near = seen(0.8, ground=Ground(50, 30, 72))
    assert near[80, 25] < 0.8 * far[80, 25], "where the angle changes little it fades less"


def test_it_is_rougher_further_from_the_foot():
    stripes = np.zeros((40, 30, 3), np.float32)
    stripes[::4] = stripes[1::4] = 1
    colours, weight = reflected(PLATE, stripes, ALPHA, Standing.of(ALPHA, BOX, GROUND), 1.0)
    own = (colours - PLATE * (1 - weight[..., None]))[..., 0] / np.maximum(weight, 1e-3)
    assert np.ptp(own[61:69, 25]) > 2 * np.ptp(own[84:92, 25])


def test_a_round_foot_is_mirrored_about_its_own_curve():
    x = (np.arange(30) + 0.5) / 15 - 1
    rise = 6 * (1 - np.sqrt(1 - x**2))
    cup = (np.arange(40)[:, None] < 40 - np.round(rise)[None]).astype(np.float32)
    _, weight = seen(1.0, cup)
    first = (weight > 0.02).argmax(axis=0)
    assert first[10 + 2] < first[10 + 15] - 1
