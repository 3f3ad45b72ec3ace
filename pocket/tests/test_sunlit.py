"""The drawn places that the light estimator learns from, against what follows from their geometry."""

import math

import numpy as np
import pytest

from packshot_pocket.pretrain.sunlit.drawn import KINDS, draw
from packshot_pocket.pretrain.sunlit.photographed import linear, photographed
from packshot_pocket.pretrain.sunlit.places import Camera, Place, Sun, picture_of
from packshot_pocket.pretrain.sunlit.solids import NEVER, Coat, Solid, lit, nearest
from packshot_pocket.pretrain.sunlit.things import THINGS

GREY = Coat(np.full((8, 8, 3), 0.5, np.float32), 1.0)
SIDE = 96


def solid(shape, **more):
    return Solid(shape, (0, 5, 1), (1, 1, 1), 0.0, GREY, **more)


@pytest.mark.parametrize("shape", ["box", "ball", "post"])
def test_a_ray_meets_each_solid_where_it_begins_and_passes_beside_it(shape):
    origins = np.float32([[0, 0, 1], [0, 0, 3], [0, 5, 9], [0, 0, 1]])
    rays = np.float32([[0, 1, 0], [0, 1, 0], [0, 0, -1], [0, -1, 0]])
    distance, number = nearest([solid(shape)], origins, rays)
    assert distance.tolist() == pytest.approx([4, NEVER, 7, NEVER], rel=1e-5)
    assert number.tolist() == [0, -1, 0, -1]
    met = origins[[0, 2]] + distance[[0, 2], None] * rays[[0, 2]]
    assert np.allclose(solid(shape).normals(met), [[0, -1, 0], [0, 0, 1]], atol=1e-5)


def test_a_turned_box_shows_its_corner():
    turned = Solid("box", (0, 5, 1), (1, 1, 1), math.pi / 4, GREY)
    distance, _ = nearest([turned], np.float32([[0, 0, 1]]), np.float32([[0, 1, 0]]))
    assert distance[0] == pytest.approx(5 - math.sqrt(2), abs=1e-4)


def test_a_shadow_is_as_long_as_the_light_is_low():
    """A post 2 high under a light at 45 degrees from the right: its shadow reaches 2 to the left."""
    post = Solid("post", (0, 0, 1), (0.05, 0.05, 1), 0, GREY)
    ground = np.float32([[-1.9, 0, 0], [-2.2, 0, 0], [1, 0, 0], [-1, 0.2, 0]])
    towards = np.float32([1, 0, 1]) / math.sqrt(2)
    assert lit([post], ground, towards).tolist() == [False, True, True, True]


def place(strength=4.0, sky="clear"):
    towards = np.float32([math.cos(math.radians(60)), -0.0, math.sin(math.radians(60))])
    sun = Sun(towards, strength, (1, 1, 1), 0.3 if strength else 90)
    post = Solid("box", (0, 4, 0.4), (0.3, 0.3, 0.4), 0, GREY)
    return Place(Camera(0.2, 1.2, 1.0), sun, sky, [post], GREY, 0.0, (0.3, 0.3, 0.3), 0.0)


def test_shade_on_the_ground_is_as_dark_as_the_sun_beside_the_sky_is_strong():
    picture = picture_of(place(), np.random.default_rng(0), SIDE)
    shade, sunny = picture.sunlit == 0, picture.sunlit == 1
    rows, columns = np.nonzero(shade)
    assert len(rows) > 20
    assert columns.mean() < SIDE / 2, "light from the right"
    near = (picture.distance > 3) & (picture.distance < 5)
    ratio = picture.light[shade].mean(axis=0) / picture.light[sunny & near].mean(axis=0)
    sky = np.float32([0.72, 0.9, 1.3])
    most = sky / (sky + 4 * math.sin(math.radians(60)))
    assert (ratio < most * 1.05).all(), "the box also hides some sky"
    assert (ratio > most * 0.5).all()


def test_an_overcast_sky_throws_no_shade():
    picture = picture_of(place(0.0, "overcast"), np.random.default_rng(0), SIDE)
    assert set(np.unique(picture.sunlit)) == {-1.0, 1.0}
    assert place(0.0, "overcast").sun.hardness == 0
    assert place().sun.hardness > 0.9


def test_what_is_judged_on_has_other_things_than_what_is_learnt():
    assert sorted(sum(KINDS.values(), ())) == sorted(THINGS)


def test_drawn_places_are_a_function_of_their_seed():
    one, again, other = (draw("test", 2, seed, side=24) for seed in (3, 3, 4))
    assert np.array_equal(one.light, again.light)
    assert not np.array_equal(one.light, other.light)
    assert one.light.shape == (2, 24, 24, 3) and one.sunlit.shape == (2, 24, 24)
    length = np.linalg.norm(one.directions, axis=1)
    assert np.allclose(length, one.hardness > 0, atol=1e-3)


def test_a_photograph_of_light_keeps_what_is_brighter_brighter():
    light = np.full((60, 60, 3), 0.2, np.float32)
    light[:, 30:] = 0.8
    for seed in range(8):
        shown = photographed(light, np.random.default_rng(seed), 32)
        assert shown.shape == (32, 32, 3)
        assert shown[:, 20:].mean() > shown[:, :12].mean() + 10
    assert linear(np.uint8([[[0, 128, 255]]])).ravel().tolist() == pytest.approx(
        [0, 0.22, 1], abs=0.01
    )
