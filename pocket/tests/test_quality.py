"""The quality benchmark's own arithmetic, and its judges on a world of coloured boxes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from packshot_pocket.benchmarks.quality import base, classifier, identifier, lora
from packshot_pocket.pretrain import data
from packshot_pocket.pretrain.loop import Budget, LoopConfig
from packshot_pocket.scenes import samples, spec

COLOURS = ("red", "green", "blue", "yellow")
LOOP = LoopConfig(steps=60, batch=16, warmup_steps=5)
CONFIG = identifier.IdentifierConfig(widths=(8, 8, 16, 16), dimensions=16, loop=LOOP)


def test_kernel_distance_is_zero_for_one_distribution_and_grows_with_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, same = (torch.randn(400, 8, generator=generator) for _ in range(2))
    assert abs(base.kernel_distance(ours, same)) < 0.05
    near, far = (base.kernel_distance(ours, same + shift) for shift in (0.5, 1.0))
    assert 0.05 < near < far


def test_kernel_distance_equals_the_sums_written_out() -> None:
    ours, theirs = torch.randn(4, 3), torch.randn(5, 3)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a @ b / 3 + 1) ** 3)

    xx = np.mean([kernel(a, b) for i, a in enumerate(ours) for j, b in enumerate(ours) if i != j])
    yy = np.mean(
        [kernel(a, b) for i, a in enumerate(theirs) for j, b in enumerate(theirs) if i != j]
    )
    xy = np.mean([kernel(a, b) for a in ours for b in theirs])
    assert base.kernel_distance(ours, theirs) == pytest.approx(xx + yy - 2 * xy, rel=1e-4)


@pytest.mark.parametrize(("count", "rows"), ((9, 1), (64, 4), (240, 4)))
def test_the_uncurated_are_the_first_as_they_came(count: int, rows: int) -> None:
    pictures = np.arange(count, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (1, 2, 2, 3), np.uint8
    )
    shown = np.asarray(base.uncurated(pictures))[::2, ::2, 0]
    assert shown.shape[0] == rows and shown.ravel().tolist() == list(range(min(count, 64)))


def test_prompts_ask_for_what_the_world_shows() -> None:
    asked = base.asked(200)
    assert len({prompt for prompt, _ in asked}) > 190
    assert {facts["class"] == "car" for _, facts in asked} == {True, False}
    for prompt, facts in asked:
        assert facts["noun"] in prompt and facts["colour"] in prompt
    assert asked == base.asked(200)


@pytest.mark.parametrize("noun", ["suv", "mug"])
def test_a_lora_is_asked_for_each_setting_of_its_kind(noun: str) -> None:
    settings = [setting for _, setting in lora.prompts_for(noun)]
    assert tuple(settings) == (spec.CAR_SETTINGS if noun == "suv" else spec.SETTINGS)


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 scenes of four pictures: a box of one colour and width a scene, at other places."""
    torch.set_num_threads(1)
    world = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    for scene in range(32):
        colour, width, entries = COLOURS[scene % 4], 30 + 10 * (scene // 4 % 4), []
        for camera in range(4):
            left, top = rng.integers(5, 50, 2).tolist()
            name = f"{scene:06d}-{camera}"
            picture, mask = Image.new("RGB", (128, 128), "grey"), Image.new("L", (128, 128))
            box = (left, top, left + width, top + 40)
            ImageDraw.Draw(picture).rectangle(box, fill=colour)
            ImageDraw.Draw(mask).rectangle(box, fill=255)
            picture.save(world / f"{name}.png")
            mask.save(world / f"{name}-mask.png")
            facts = dict.fromkeys(data.ATTRIBUTES, "plain")
            entries.append({"file": f"{name}.png", **facts, "colour": colour, "noun": "box"})
        (world / f"{scene:06d}.json").write_text(json.dumps(entries))
    state = tmp_path_factory.mktemp("state")
    data.gather([world], state, held_out_fraction=0.25)
    return state


@pytest.mark.slow
def test_the_classifier_learns_colours(renders: Path) -> None:
    config = classifier.ClassifierConfig(widths=(8, 8, 16, 16), loop=LOOP)
    report = classifier.train_classifier(renders, config, Budget())
    assert report["colour"] > 0.9
    assert report["noun"] == 1.0


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark product and its look-alikes: boxes, each of a colour and a height of its own."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("benchmark") / "3-box"
    rng = np.random.default_rng(0)
    shown = {
        "known": [k for k in range(50) for _ in range(samples.KNOWN_SCENES)],
        "photos": [0] * 8, "truth": [0] * 2, "alike": list(range(1, 50)),
    }  # fmt: skip
    for kind, which in shown.items():
        (folder / kind).mkdir(parents=True)
        for scene, one in enumerate(which):
            for camera in range(1):
                left, top = rng.integers(5, 50, 2).tolist()
                box = (left, top, left + 60, top + 15 + 10 * (one % 5))
                picture, mask = Image.new("RGB", (128, 128), "grey"), Image.new("L", (128, 128))
                shade = f"hsl({36 * (one // 5)}, 90%, 50%)"
                ImageDraw.Draw(picture).rectangle(box, fill=shade)
                ImageDraw.Draw(mask).rectangle(box, fill=255)
                picture.save(folder / kind / f"{scene:06d}-{camera}.png")
                mask.save(folder / kind / f"{scene:06d}-{camera}-mask.png")
    return folder


class BoxSegmenter:
    """Finds what is not grey, at once."""

    def probabilities(self, picture: Image.Image) -> np.ndarray:
        return (np.ptp(np.asarray(picture), axis=2) > 20).astype(np.float32)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifier, "BundledSegmenter", BoxSegmenter)


@pytest.mark.slow
def test_the_identifier_tells_a_product_from_its_look_alikes(product: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, loop=LoopConfig(steps=40, batch=32, warmup_steps=5))
    judge, report = identifier.identifier_for([product], tmp_path, config)
    assert report["given"] > 0.5  # chance is 0.02
    again, _ = identifier.identifier_for([product], tmp_path, config)
    pictures = sorted((product / "photos").glob("*-[0-9].png"))
    assert lora.retrieved(judge, product, pictures) == lora.retrieved(again, product, pictures)


def test_a_batch_shows_products_of_one_number_in_other_lights(product: Path) -> None:
    known = identifier.Renders.known(product)
    pictures, which = identifier.batch_of(known, 3, 0, CONFIG)
    assert pictures.shape == (16, 4, 96, 96) and pictures.min() >= 0 and pictures.max() <= 1
    assert set(which.tolist()) <= set(range(50)) and len(set(which.tolist())) > 5
    assert torch.equal(pictures, identifier.batch_of(known, 3, 0, CONFIG)[0])
    assert not torch.equal(pictures, identifier.batch_of(known, 3, 1, CONFIG)[0])


def test_a_product_alone_fills_the_square_whatever_its_size() -> None:
    for size, (left, top, side) in ((128, (10, 60, 40)), (600, (300, 20, 250))):
        picture = np.full((size, size, 3), 90, np.uint8)
        shares = np.zeros((size, size), np.float32)
        picture[top : top + side, left : left + side] = (200, 30, 30)
        shares[top : top + side, left : left + side] = 1
        seen = identifier.alone(picture, shares)
        assert 0.8 < (seen[..., 3] > 127).mean() < 0.9  # 1 / 1.08 squared
        assert (np.abs(seen[seen[..., 3] > 250][:, :3] - np.array([200, 30, 30])) < 9).all()


def test_exposure_does_not_tell_products_apart() -> None:
    product = torch.rand(1, 4, 96, 96) * 0.5 + 0.4
    darker = torch.cat([product[:, :3] * 0.8, product[:, 3:]], dim=1)
    assert (identifier.unlit(product) - identifier.unlit(darker)).abs().mean() < 0.03
    assert (product - darker).abs().mean() > 0.09


def test_how_differently_pictures_look_is_nought_for_one_and_grows() -> None:
    judge = identifier.Identifier(CONFIG, [3]).eval()
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (12, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    grain = rng.normal(0, 1, picture.shape)
    noisy, noisier = ((picture + s * grain).clip(0, 255).astype(np.uint8) for s in (10, 60))
    assert judge.distance(picture, picture) == 0
    assert 0 < judge.distance(picture, noisy) < judge.distance(picture, noisier)
