"""The network of identity: products and their look-alikes, what it learns from them, what tests it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_stages import make_families
from torch.nn import functional as F

from packshot_pocket.benchmarks.identity import measures
from packshot_pocket.pretrain import identity
from packshot_pocket.pretrain.loop import Budget, LoopConfig
from packshot_pocket.pretrain.shots import looks
from packshot_pocket.pretrain.shots.bank import Bank, make_bank
from packshot_pocket.pretrain.shots.looks import Likeness, Straying, draw_alike, draw_look
from packshot_pocket.scenes import alike, samples, spec
from packshot_pocket.scenes.things import THINGS


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(1)


def straying(amount: float) -> Straying:
    return Straying(*(np.random.default_rng(seed) for seed in (1, 2)), amount)


def test_numbers_stray_from_one_generator_to_the_other_by_the_amount() -> None:
    one, two = (np.random.default_rng(seed).uniform(0, 9, 5) for seed in (1, 2))
    for amount in (0.0, 0.3, 1.0):
        np.testing.assert_allclose(
            straying(amount).uniform(0, 9, 5), (1 - amount) * one + amount * two
        )
    own = np.random.default_rng(1)
    assert [straying(0.0).integers(0, 99) for _ in range(3)] == [own.integers(0, 99)] * 3


def points(bank: Bank, number: int, likeness: Likeness) -> np.ndarray:
    return np.concatenate([s.points.ravel() for s in draw_alike(bank, (4,), number, likeness)])


def test_a_look_alike_differs_in_what_is_asked_for(bank: Bank) -> None:
    own = points(bank, 0, Likeness())
    np.testing.assert_array_equal(points(bank, 1, Likeness()), own)
    np.testing.assert_array_equal(points(bank, 1, Likeness(coat=0.6)), own)
    other = draw_alike(bank, (4,), 1, Likeness(shape=0.2))
    coats = [surface.coat for surface in draw_alike(bank, (4,), 0, Likeness())]
    assert [surface.coat for surface in other][:1] == coats[:1]
    moved = np.concatenate([surface.points.ravel() for surface in other])
    assert len(moved) != len(own) or np.abs(moved - own).max() > 0.005


def test_a_look_shows_the_product_in_the_middle(bank: Bank) -> None:
    look = draw_look(draw_alike(bank, (4,), 0, Likeness()), bank, np.random.default_rng(0))
    assert look.shape == (looks.SIDE, looks.SIDE, 4) and look.dtype == np.uint8
    rows, columns = (np.flatnonzero((look[..., 3] > 127).any(axis=axis)) for axis in (1, 0))
    sizes = [each[-1] + 1 - each[0] for each in (rows, columns)]
    assert abs(max(sizes) - 0.77 * looks.SIDE) <= 3
    for each in (rows, columns):
        assert abs((each[0] + each[-1] + 1) / 2 - looks.SIDE / 2) <= 2


def test_contrast_is_the_cross_entropy_of_ones_pair() -> None:
    vectors = F.normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
    expected = []
    for own in range(6):
        near = {k: float(vectors[own] @ vectors[k]) / 0.1 for k in range(6) if k != own}
        pair = own + 1 if own % 2 == 0 else own - 1
        expected.append(np.log(sum(np.exp(v) for v in near.values())) - near[pair])
    assert float(identity.contrast(vectors, 0.1)) == pytest.approx(np.mean(expected), rel=1e-4)


def test_two_looks_of_a_member_are_neighbours_and_no_held_out_family_is_learnt_from(
    tmp_path: Path,
) -> None:
    families = np.zeros((6, 4, 4, looks.SIDE, looks.SIDE, 4), np.uint8)
    families[..., :3] = 40 * np.arange(6)[:, None, None, None, None, None]
    families[..., 3] = (10 * np.arange(1, 5))[None, :, None, None, None]
    (tmp_path / "families").mkdir()
    np.save(tmp_path / "families" / "families-000.npy", families)
    config = identity.IdentityConfig(loop=LoopConfig(steps=9, batch=32), families=6, judged=2)
    batches = identity.FamilyBatches(tmp_path, config)
    for step in range(4):
        family = batches._family(np.random.default_rng(step))
        assert (family[0::2, ..., 3] == family[1::2, ..., 3]).all()
        assert len(np.unique(family[..., 3])) == 4 and family[..., 0].min() >= 80
    assert torch.equal(batches(3), batches(3)) and not torch.equal(batches(3), batches(4))


@pytest.mark.slow
def test_families_teach_shapes(tmp_path: Path) -> None:
    make_families(tmp_path / "families", 30)
    config = identity.IdentityConfig(
        widths=(8, 16, 16, 16, 16), dimensions=16, families=30, judged=6,
        loop=LoopConfig(steps=60, batch=32, warmup_steps=2),
    )  # fmt: skip
    report = identity.train_identity(tmp_path, config, Budget())
    assert report["of its family"] > 0.8, "a guess is right in a quarter"


def test_renders_of_the_tested_fifty_are_not_learnt_from(tmp_path: Path) -> None:
    tested = alike.fifties()["mug"][0]
    free = next(k for k in range(10_000) if k not in alike.fifties()["mug"])
    world = tmp_path / "world"
    world.mkdir()
    for number in (tested, free):
        name = f"{number:06d}-0.png"
        Image.new("RGB", (32, 32), "red").save(world / name)
        Image.new("L", (32, 32), 255).save(world / f"{number:06d}-0-mask.png")
        (world / f"{number:06d}.json").write_text(json.dumps([{"file": name, "noun": "mug"}]))
    identity.gather_renders(tmp_path, [world])
    assert np.load(tmp_path / "renders.npy").shape == (1, 1, looks.SIDE, looks.SIDE, 4)


def test_the_fifty_are_of_a_kind_each_and_stand_elsewhere() -> None:
    assert set(alike.fifties()) == set(THINGS)
    for noun, numbers in alike.fifties().items():
        assert len(set(numbers)) == alike.FIFTY
        known = spec.thing_scene(numbers[0])
        other = alike.elsewhere(numbers[0])
        assert known.product == other.product and known.product.noun == noun
        assert known.setting != other.setting and known.look != other.look


@pytest.mark.parametrize("noun", ["mug", "watch"])
def test_a_ladder_goes_from_one_product_to_the_other(noun: str) -> None:
    first, *steps = (scene.product for scene in alike.ladder(noun, 0))
    assert steps[0] == first and len(steps) == len(alike.DEGREES)

    def differing(other: object) -> set[str]:
        return {name for name in vars(first) if getattr(first, name) != getattr(other, name)}

    counts = [len(differing(each)) for each in steps]
    assert counts == sorted(counts) and counts[1] > 0 and steps[-1] != first


def test_no_benchmark_product_is_among_what_is_learnt_from() -> None:
    tested = [samples.benchmark_scenes(number)["photos"][0].product for number in (3, 4)]
    learnt = [spec.thing_scene(number).product for number in range(200)]
    assert not any(product in learnt for product in tested)


def test_retrieval_is_by_the_nearest_view_and_by_the_mean() -> None:
    known = F.normalize(torch.tensor([[[1.0, 0], [-1, 0]], [[0.6, 0.8], [0.6, 0.8]]]), dim=-1)
    nearest, mean = measures.retrieval(torch.tensor([[1.0, 0], [0.6, 0.8]]), known)
    assert nearest.tolist() == [1, 1] and mean.tolist() == [0, 1]


def test_a_likeness_that_falls_by_degrees_correlates_with_them() -> None:
    def at(angle: float) -> torch.Tensor:
        return torch.tensor([[np.cos(angle), np.sin(angle)]], dtype=torch.float32)

    assert measures.falls(at(0), [at(a) for a in (0, 0.1, 0.4, 0.9)]) == pytest.approx(1)
    assert measures.falls(at(0), [at(a) for a in (0.9, 0.4, 0.1, 0)]) == pytest.approx(-1)
