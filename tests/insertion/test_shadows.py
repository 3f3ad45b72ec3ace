"""Shadows against closed forms: where a post's tip must fall on level ground."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from packshot.insertion.background import Box
from packshot.insertion.foot import Foot
from packshot.insertion.lighting import Light
from packshot.insertion.quality_checks import darkening_direction, seen_direction
from packshot.insertion.shadows import (
    Ground,
    _at_foot,
    cast_shadow,
    contact_shadow,
    darkened,
    shade,
    sky_shadow,
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
    dark = contact_shadow(alpha, box, SIZE, GROUND, Light(0, 60, 0))
    assert dark[288:294, 220:300].mean() > 0.3
    assert dark[330:, :].max() < 0.1
    assert dark[:150].max() == 0
    ground = np.full((400, 600, 3), 0.5, np.float32)
    seen = darkened(ground, dark)
    assert seen[290, 260, 2] > seen[290, 260, 0], "shade is bluish"
    assert np.array_equal(seen[dark == 0], ground[dark == 0])


@pytest.mark.parametrize("distance", [0.1, 0.3, 0.8])
def test_beside_a_long_wall_the_sky_is_hidden_as_geometry_has_it(distance):
    """Half of (1 - d / sqrt(d^2 + h^2)), for a wall of height h that is long on both sides."""
    ground = Ground(horizon=-400, middle=1000, focal=600)
    box, alpha = Box(700, 540, 600, 60), np.ones((60, 600), np.float32)
    hidden = sky_shadow(alpha, box, (2000, 700), ground)
    away, height = 600 / 1000, 60 / 1000
    row = ground.horizon + ground.focal / (away - distance * height)
    wanted = 0.5 * (1 - distance / math.hypot(1, distance))
    assert hidden[round(row - 0.5), 1000] == pytest.approx(wanted, abs=0.04)


def test_the_skys_shadow_fades_with_distance_and_is_on_both_sides():
    box, alpha = Box(260, 200, 80, 100), np.ones((100, 80), np.float32)
    hidden = sky_shadow(alpha, box, SIZE, GROUND)
    below = hidden[301:390, 300]
    assert below[0] > 0.3 and (np.diff(below) < 0.02).all() and below[-1] < 0.05
    assert np.allclose(hidden[290, 200:258], hidden[290, 342:400][::-1], atol=0.08)
    assert hidden[:95].max() == 0, "none above the horizon"


def test_all_light_is_kept_off_once():
    """Cast shade and the sky's make the light that is left; the softer it is the more is the sky's."""
    whole, none = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    hard, soft = Light(200, 40, 1), Light(200, 40, 0)
    for light in (hard, soft):
        assert shade(none, none, light, none, 0.9)[0, 0] == pytest.approx(0, abs=1e-6)
        full = shade(light.density * whole, none, light, none, 0.9)[0, 0]
        assert full == pytest.approx(light.density, abs=1e-5)
        assert shade(none, none, light, whole, 0.9)[0, 0] == pytest.approx(0.9)
        dim = shade(none, 0.5 * whole, light, none, 0.1)
        assert shade(none, 0.5 * whole, light, whole, 0.0) == dim, "never lighter"
    sky = [shade(none, 0.5 * whole, light, none, 0.9)[0, 0] for light in (hard, soft)]
    assert sky[0] < 0.4 * sky[1]
    # Overcast, all light is the sky's: half of it is gone.
    assert (1 - sky[1]) ** 2.2 == pytest.approx(0.5, abs=1e-4)


def test_the_contact_shadow_follows_the_curve_of_the_foot_and_no_handle():
    width, height = 120, 160
    slope = GROUND.slope(300)
    x = (np.arange(width) + 0.5) / (width / 2) - 1
    rise = slope * width / 2 * (1 - np.sqrt(1 - x**2))
    cup = (np.arange(height)[:, None] < height - rise[None]).astype(np.float32)
    cup = np.pad(cup, ((0, 0), (0, 40)))
    cup[40:90, 118:160] = 1
    dark = contact_shadow(cup, Box(240, 140, 160, height), SIZE, GROUND, Light(0, 60, 0))
    for column in (8, 60, 112):
        below = round(300 - rise[column])
        assert dark[below, 240 + column] > 0.5, "at the foot of each column"
        assert dark[below + 25, 240 + column] < 0.1
    assert dark[:, 240 + 130 :].max() < 0.3, "the handle touches nothing"


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


def test_hard_light_shines_on_the_ground_before_the_contact():
    box, alpha = Box(200, 200, 120, 90), np.ones((90, 120), np.float32)
    hard, soft = (
        contact_shadow(alpha, box, SIZE, GROUND, Light(0, 60, hardness)) for hardness in (1, 0)
    )
    assert hard[289, 230:290].min() > 0.6, "where it touches it is dark in any light"
    assert hard[300, 260] < 0.6 * soft[300, 260]


def test_the_sky_that_a_wall_hides_is_in_its_cast_shade_already():
    """A wall hides half of the sky; only under a body more is hidden."""
    whole, none = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    light = Light(200, 40, 1)
    beside, beneath = (
        shade(light.density * whole, share * whole, light, none, 0.0)[0, 0] for share in (0.5, 0.9)
    )
    assert beside == pytest.approx(light.density, abs=1e-5)
    assert beneath > light.density + 0.1


def test_behind_the_soft_edge_of_a_body_it_is_as_dark_as_under_it():
    box, alpha = Box(200, 200, 120, 90), np.ones((90, 120), np.float32)
    alpha[78:, 30:90] = 0
    dark = underside_shadow(alpha, box, SIZE, GROUND)
    assert dark[277, 260] > 0.9 * dark[282, 260] > 0.3


def test_shade_begins_at_the_foot_where_the_photo_looks_down_more_steeply_than_the_place_is_seen():
    """A cup from above on ground that is seen nearly from the side: no lit ground between the two."""
    flat = Ground(280.0, GROUND.middle, GROUND.focal)
    width, height = 120, 160
    x = (np.arange(width) + 0.5) / (width / 2) - 1
    rise = 0.4 * width / 2 * (1 - np.sqrt(1 - x**2))
    cup = (np.arange(height)[:, None] < height - rise[None]).astype(np.float32)
    hidden = sky_shadow(cup, Box(240, 140, width, height), SIZE, flat)
    for column in (12, 60, 108):
        below = round(300 - rise[column])
        assert hidden[below, 240 + column] > 0.25


def test_shade_does_not_break_off_where_a_foot_jumps_from_a_wheel_to_what_is_behind_it():
    rise = np.where(np.arange(200) < 150, 2.0, 30.0).astype(np.float32)
    foot = Foot(np.ones(200, bool), rise, np.zeros(200, np.float32), rise)
    car = SimpleNamespace(foot=foot, ground=GROUND, box=Box(200, 140, 200, 160))
    fading = np.exp(-np.abs(np.arange(400, dtype=np.float32) - 300) / 40)[:, None]
    moved = _at_foot(np.repeat(fading, 600, axis=1), car)[:360]
    assert moved[:, 390].argmax() < 280 and moved[:, 250].argmax() == 298
    assert np.abs(np.diff(moved, axis=1)).max() < 0.03


def test_shade_that_reaches_the_pictures_lower_edge_has_no_light_line_there():
    rise = np.full(200, 20.0, np.float32)
    foot = Foot(np.ones(200, bool), rise, np.zeros(200, np.float32), rise)
    jar = SimpleNamespace(foot=foot, ground=GROUND, box=Box(200, 220, 200, 160))
    assert _at_foot(np.full((400, 600), 0.3, np.float32), jar) == pytest.approx(0.3)


def test_ground_is_seen_no_more_steeply_than_a_photo_sees_what_stands_there():
    row = 300.0
    steep = Ground(row - 600 * np.tan(np.radians(45)), 300, 600)
    seen = steep.no_steeper(20, row)
    assert np.degrees(np.arctan(seen.slope(row))) == pytest.approx(20)
    assert steep.no_steeper(60, row) == steep
    assert np.degrees(np.arctan(steep.no_steeper(-5, row).slope(row))) == pytest.approx(14)
