"""Drawn photographs for the segmenter: geometry against formulas, masks that are true, exact repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from packshot_pocket.pretrain.shots.bank import Bank, make_bank
from packshot_pocket.pretrain.shots.cars import draw_car
from packshot_pocket.pretrain.shots.meshes import Coat, curve, lathe, loft, rounded, tube, turn
from packshot_pocket.pretrain.shots.pool import Pool
from packshot_pocket.pretrain.shots.products import KINDS, Coats, draw_thing, standing
from packshot_pocket.pretrain.shots.raster import FAR, Camera, ShadowMap, draw
from packshot_pocket.pretrain.shots.scenes import draw_car_shot, draw_shot

pytestmark = pytest.mark.slow  # compiling the renderer takes seconds
SIDE = 96


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(1)


def level_camera(distance: float = 4.0) -> Camera:
    return Camera(np.array([0, 0, distance]), np.zeros(3), 0.5, 0.0, SIDE)


def test_a_balls_outline_depth_and_normals() -> None:
    """A ball of radius 1 at 4 covers a disc of tangent 1/sqrt(15); its nearest point is 3 away."""
    ball = rounded((2, 2, 2), 0, Coat()).moved(np.eye(3), (0, -1, 0))
    depth, parts, facing, _ = draw(level_camera(), [ball])
    radius = SIDE / 2 / 0.5 / 15**0.5
    assert (parts == 0).sum() == pytest.approx(np.pi * radius**2, rel=0.02)
    assert depth.min() == pytest.approx(3, abs=0.02)
    assert (depth[parts < 0] == FAR).all()
    places = (np.arange(SIDE) + 0.5) / (SIDE / 2) - 1
    middle = (places[parts.any(axis=0)].mean(), places[parts.any(axis=1)].mean())
    assert middle == pytest.approx((0, 0), abs=0.02)
    centre = facing[SIDE // 2, SIDE // 2] / np.linalg.norm(facing[SIDE // 2, SIDE // 2])
    assert abs(centre[2]) > 0.99


def test_what_is_nearer_hides_what_is_behind() -> None:
    small = rounded((1, 1, 1), 0.9, Coat()).moved(np.eye(3), (0, -0.5, 1))
    large = rounded((2, 2, 2), 0.9, Coat()).moved(np.eye(3), (0, -1, -1))
    _, either, _, _ = draw(level_camera(), [small, large])
    _, swapped, _, _ = draw(level_camera(), [large, small])
    assert np.array_equal(either == 0, swapped == 1)
    assert (either == 0)[SIDE // 2, SIDE // 2] and (either == 1).any()


def test_a_camera_projects_as_its_rays_go() -> None:
    camera = Camera(np.array([1.0, 2, 3]), np.array([0, 0.3, 0]), 0.4, 0.2, SIDE)
    rays = camera.rays()
    for row, column in ((0, 0), (10, 80), (95, 40)):
        seen = camera.project(camera.eye + 2.5 * rays[row, column])
        assert seen == pytest.approx([column + 0.5, row + 0.5, 2.5], abs=1e-2)


def test_a_shadow_map_knows_what_is_highest() -> None:
    ball = rounded((1, 1, 1), 0, Coat())
    above = ShadowMap(np.array([1e-3, 1, 0]), [ball], 2.0, 64)
    assert 100 - above.depth.min() == pytest.approx(1, abs=0.02)
    assert (above.depth < FAR).mean() == pytest.approx(np.pi * 0.25 / 16, rel=0.1)


def test_turned_bent_and_lofted_surfaces_keep_their_measures() -> None:
    can = lathe(np.array([0.5, 0.5]), np.array([0, 2]), Coat()).points
    assert np.allclose(np.hypot(can[..., 0], can[..., 2]), 0.5, atol=1e-6)
    wire = tube(curve([[0, 0, 0], [0, 1, 0], [0, 2, 0]], 9), 0.1, Coat()).points
    assert np.allclose(np.hypot(wire[1:-1, :, 0], wire[1:-1, :, 2]), 0.1, atol=1e-5)
    ones = np.ones(5, np.float32)
    bar = loft(np.linspace(0, 3, 5), 0.6 * ones, 0.2 * ones, ones, Coat()).points
    assert np.allclose(np.ptp(bar, axis=(0, 1)), [3, 0.8, 0.6], atol=0.01)
    assert np.allclose(turn("x", 0.3) @ turn("x", -0.3), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("make", KINDS)
def test_every_kind_stands_on_the_ground_at_size_one(make, bank: Bank) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        points = np.concatenate(
            [s.points.reshape(-1, 3) for s in standing(make(Coats(bank, rng), rng))]
        )
        assert np.isfinite(points).all()
        assert points[:, 1].min() == pytest.approx(0, abs=1e-5)
        assert np.ptp(points, axis=0).max() == pytest.approx(1, abs=1e-5)


def test_shots_repeat_and_differ(bank: Bank) -> None:
    pixels, mask = draw_shot(bank, (1, 2))
    again, same = draw_shot(bank, (1, 2))
    assert np.array_equal(pixels, again) and np.array_equal(mask, same)
    assert pixels.shape == (256, 256, 3) and mask.shape == (256, 256)
    assert pixels.dtype == mask.dtype == np.uint8
    assert 0.01 < (mask > 127).mean() < 0.6 and pixels.std() > 3
    assert not np.array_equal(mask, draw_shot(bank, (1, 3))[1])


def test_cars_have_a_cars_measures_and_stand_on_their_wheels(bank: Bank) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        parts = draw_car(Coats(bank, rng), rng)
        points = np.concatenate([part.points.reshape(-1, 3) for part in parts])
        long, tall, wide = np.ptp(points, axis=0)
        assert np.isfinite(points).all()
        assert 3.3 < long < 6 and 1.5 < wide < 2.8 and 1.2 < tall < 2.8
        assert points[:, 1].min() == pytest.approx(0, abs=0.01)
        low = points[points[:, 1] < 0.1]
        assert (np.abs(low[:, 2]) > 0.4).all(), "below a car is nothing but its wheels"


def test_shots_of_cars_repeat_and_differ(bank: Bank) -> None:
    pixels, mask = draw_car_shot(bank, (1, 2))
    again, same = draw_car_shot(bank, (1, 2))
    assert np.array_equal(pixels, again) and np.array_equal(mask, same)
    assert 0.01 < (mask > 127).mean() < 0.6 and pixels.std() > 3
    assert not np.array_equal(mask, draw_car_shot(bank, (1, 3))[1])


def test_things_are_many(bank: Bank) -> None:
    sizes = {len(draw_thing(bank, np.random.default_rng(seed))) for seed in range(20)}
    assert len(sizes) > 5


def test_a_pool_draws_what_is_missing_and_keeps_it(tmp_path: Path, monkeypatch) -> None:
    drawn = []

    def shot(bank: object, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        drawn.append(seed)
        return np.full((4, 4, 3), len(drawn) % 256, np.uint8), np.zeros((4, 4), np.uint8)

    monkeypatch.setattr("packshot_pocket.pretrain.shots.pool.draw_shot", shot)
    monkeypatch.setattr("packshot_pocket.pretrain.shots.pool.make_bank", lambda seed: None)
    pool = Pool.of_shots(tmp_path, 260, seed=7)
    assert pool[255].shape == (4, 4, 4)
    assert drawn == [(7, 1, number) for number in range(10)]
    assert pool[251][0, 0, 0] == 2 and len(drawn) == 10
    Pool.of_shots(tmp_path, 260, seed=7).draw_all()
    assert len(drawn) == 260 and len(list(tmp_path.glob("shots-*.npy"))) == 2
