"""Shadows against closed forms: where a post's tip must fall on level ground."""

import math

import numpy as np
import pytest

from packshot.insertion.background import Box
from packshot.insertion.lighting import Light
from packshot.insertion.quality_checks import darkening_direction, seen_direction
from packshot.insertion.shadows import (
    Ground,
    cast_shadow,
    contact_shadow,
    darkened,
    reflected,
    underside_shadow,
)

SIZE = (600, 400)
GROUND = Ground(horizon=100, middle=300, focal=600)


def post(width=6):
    """A thin post, one camera height tall, standing at y = 300."""
    return Box(300 - width // 2, 100, width, 200), np.ones((200, width), np.float32)


@pytest.mark.parametrize("azimuth", [0, 60, 150, 215, 300])
def test_the_tip_of_a_post_falls_where_the_ground_has_it(azimuth):
    """Its foot is focal / 200 = 3 camera heights away; the tip 1 / tan(elevation) further on."""
    box, alpha = post()
    light = Light(azimuth, 45, 1)
    shadow = cast_shadow(alpha, box, SIZE, GROUND, light)
    across, along = -math.cos(math.radians(azimuth)), -math.sin(math.radians(azimuth))
    tip = np.array([300 + 600 * across / (3 + along), 100 + 600 / (3 + along)])
    middle = np.array([300 + 600 * 0.5 * across / (3 + along / 2), 100 + 600 / (3 + along / 2)])
    for x, y in (middle, 0.15 * middle + 0.85 * tip):
        if 0 <= x < 600 and 0 <= y < 400:
            near = shadow[max(0, int(y) - 9) : int(y) + 10, max(0, int(x) - 9) : int(x) + 10]
            assert near.max() > 0.08
    opposite = 2 * np.array([300, 300]) - middle
    x, y = (int(v) for v in opposite)
    if 20 < x < 580 and 110 < y < 380:
        assert shadow[y - 5 : y + 6, x - 5 : x + 6].max() < 0.05


@pytest.mark.parametrize("azimuth", [20, 160, 200, 250, 340])
def test_the_measured_direction_is_the_lights(azimuth):
    box, alpha = post(20)
    light = Light(azimuth, 35, 1)
    found = darkening_direction(cast_shadow(alpha, box, SIZE, GROUND, light), (300, 300))
    wanted = seen_direction(light, GROUND, (300, 300))
    assert found is not None
    assert abs((found - wanted + 180) % 360 - 180) < 14


def test_hard_light_makes_a_darker_sharper_shadow_and_height_a_longer_one():
    box, alpha = post(40)
    hard, soft = (cast_shadow(alpha, box, SIZE, GROUND, Light(200, 40, h)) for h in (1.0, 0.0))
    assert hard.max() > soft.max() + 0.1
    steepness = [np.abs(np.diff(one, axis=1)).max() / one.max() for one in (hard, soft)]
    assert steepness[0] > steepness[1]
    low = cast_shadow(alpha, box, SIZE, GROUND, Light(200, 15, 1.0))
    assert (low > 0.05).sum() > 1.2 * (hard > 0.05).sum()


def test_it_is_darkest_where_it_touches():
    box, alpha = Box(200, 200, 120, 90), np.ones((90, 120), np.float32)
    dark = contact_shadow(alpha, box, SIZE, GROUND)
    assert dark[288:294, 220:300].mean() > 0.3
    assert dark[330:, :].max() < 0.1
    assert dark[:150].max() == 0
    ground = np.full((400, 600, 3), 0.5, np.float32)
    seen = darkened(ground, dark)
    assert seen[290, 260, 2] > seen[290, 260, 0], "shade is bluish"
    assert np.array_equal(seen[dark == 0], ground[dark == 0])


def test_a_reflection_is_the_product_upside_down_and_fades():
    box = Box(10, 10, 4, 40)
    product = np.linspace(0, 1, 40, dtype=np.float32)[:, None, None].repeat(4, 1).repeat(3, 2)
    ground = np.full((120, 60, 3), 0.2, np.float32)
    seen, weight = reflected(ground, product, np.ones((40, 4), np.float32), box, 0.8)
    assert weight[50, 11] == pytest.approx(0.8)
    assert seen[50, 11, 0] > seen[60, 11, 0] > seen[75, 11, 0]
    assert np.array_equal(seen[weight == 0], ground[weight == 0])
    assert reflected(ground, product, np.ones((40, 4), np.float32), box, 0)[1].max() == 0


BRIDGE = np.ones((40, 100), np.float32)
BRIDGE[34:, 20:80] = 0
"""A body on two feet, with a low gap between them."""


def test_it_is_dark_under_a_body_between_its_feet_and_nowhere_else():
    box = Box(50, 100, 100, 40)
    dark = underside_shadow(BRIDGE, box, (200, 200), Ground.of(200, 90, box))
    assert dark[135:139, 75:125].min() > 0.5
    outside = np.ones((200, 200), bool)
    outside[130:144, 66:134] = False
    assert dark[outside].max() < 0.02


def test_under_a_table_it_is_lighter_than_under_a_car():
    box, table = Box(50, 100, 100, 40), np.ones((40, 100), np.float32)
    table[8:, 10:90] = 0
    ground = Ground.of(200, 90, box)
    assert (
        underside_shadow(table, box, (200, 200), ground)[138, 100]
        < 0.8 * underside_shadow(BRIDGE, box, (200, 200), ground)[138, 100]
    )


def test_what_stands_flat_or_hangs_beside_shades_nothing_beneath():
    box, mug = Box(50, 100, 100, 40), np.ones((40, 100), np.float32)
    mug[:, 70:] = 0
    mug[8:24, 70:90] = 1  # a handle: no foot
    ground = Ground.of(200, 90, box)
    assert underside_shadow(mug, box, (200, 200), ground).max() == 0
