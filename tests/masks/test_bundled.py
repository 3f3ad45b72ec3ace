"""The bundled segmenter: its network's shape, its refinement, and masks of a picture's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from packshot.errors import ModelLoadError
from packshot.masks.bundled import BundledSegmenter, is_car
from packshot.masks.bundled_network import SegmenterNetwork
from packshot.masks.edges import refine_edges, without_islands
from packshot.masks.refiner import PLANES, mended
from packshot.masks.regions import overlap, without_specks
from packshot.masks.segmenter import for_class
from packshot.masks.shot_network import ShotNetwork


def save_weights(folder: Path) -> None:
    """Random ones of the three networks."""
    save_file(SegmenterNetwork().state_dict(), folder / "model.safetensors")
    save_file(ShotNetwork().state_dict(), folder / "shots.safetensors")
    save_file(ShotNetwork(planes=PLANES).state_dict(), folder / "refiner.safetensors")


def test_the_network_keeps_the_pictures_size() -> None:
    assert SegmenterNetwork()(torch.zeros(2, 3, 128, 128)).shape == (2, 1, 128, 128)


def test_refining_moves_the_edge_to_where_colours_change() -> None:
    image = Image.new("RGB", (120, 100), (40, 120, 60))
    ImageDraw.Draw(image).rectangle((30, 20, 89, 79), fill=(200, 30, 30))
    truth = np.zeros((100, 120), bool)
    truth[20:80, 30:90] = True
    down, across = np.mgrid[:100, :120]
    outside = np.maximum(np.maximum(30 - across, across - 89), np.maximum(20 - down, down - 79))
    shares = 1 / (1 + np.exp((outside - 4) / 5.0))  # too large by 4 px, and soft
    found = refine_edges(np.asarray(image), shares.astype(np.float32)) > 0.5
    assert ((shares > 0.5) ^ truth).sum() > 700
    assert (found ^ truth).sum() < 60


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_picture_of_one_thing_only_stays_as_it_is(share: float) -> None:
    shares = np.full((8, 8), share, np.float32)
    assert np.array_equal(refine_edges(np.zeros((8, 8, 3), np.uint8), shares), shares)


def test_specks_and_pinholes_go_and_real_holes_stay() -> None:
    inside = np.zeros((60, 60), bool)
    inside[10:50, 10:50] = True
    inside[20:30, 20:30] = False  # a handle's hole
    clean = inside.copy()
    inside[2:4, 2:4] = True
    inside[40:42, 40:42] = False
    assert np.array_equal(without_specks(inside), clean)


def test_islands_go_and_soft_edges_stay() -> None:
    shares = np.zeros((60, 60), np.float32)
    shares[10:40, 10:40] = 1
    shares[10:40, 40] = 0.3
    shares[20, 20] = 0.0  # a pinhole: what is seen through stays as it was found
    clean = shares.copy()
    shares[50:53, 50:53] = 0.9
    assert np.array_equal(without_islands(shares), clean)


def test_thousands_of_specks_at_once() -> None:
    inside = np.zeros((512, 512), bool)
    inside[::2, ::2] = True
    inside[100:200, 100:200] = True
    clean = without_specks(inside)
    assert clean[100:200, 100:200].all() and clean.sum() < 102 * 102


def test_the_bundled_weights_find_the_sample_product() -> None:
    photo = sorted((Path(__file__).parents[2] / "examples" / "torvane_ridge").glob("*.jpg"))[2]
    mask = np.asarray(BundledSegmenter().mask(Image.open(photo))) > 127
    assert 0.1 < mask.mean() < 0.6
    assert not mask[:20].any() and not mask[-20:].any()


def test_the_bundled_refiner_finds_what_a_mask_has_lost() -> None:
    """A mug without its handle's outer half and a bite of its side, with a piece of the table."""
    image = Image.new("RGB", (320, 320), (150, 160, 165))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 215, 319, 319), fill=(95, 75, 60))
    truth = Image.new("L", image.size)
    for canvas, body, rim in (
        (draw, (180, 40, 35), (120, 20, 20)),
        (ImageDraw.Draw(truth), 255, 255),
    ):
        canvas.rounded_rectangle((100, 90, 200, 230), 12, fill=body)
        canvas.arc((145, 110, 235, 200), -90, 90, fill=body, width=14)
        canvas.ellipse((100, 80, 200, 104), fill=rim)
    right = np.asarray(truth) > 127
    wrong = right.copy()
    wrong[:, 222:], wrong[120:170, 100:112], wrong[214:228, 78:100] = False, False, True
    found = mended(BundledSegmenter()._refiner, np.asarray(image), wrong)
    assert overlap(wrong, right) < 0.92
    assert overlap(found, right) > 0.97


def test_masks_have_their_pictures_size(tmp_path: Path) -> None:
    save_weights(tmp_path)
    picture = Image.new("RGB", (1000, 300), "red")
    mask = BundledSegmenter(tmp_path).mask(picture)
    assert mask.mode == "L" and mask.size == picture.size
    assert picture.size == (1000, 300)


@pytest.mark.parametrize(
    ("noun", "says"),
    [
        ("car", True), ("SUV", True), ("sports car", True), ("Pickup Truck", True), ("4x4", True),
        ("toy car", False), ("RC car", False), ("remote control car", False),
        ("carpet", False), ("car seat", False), ("truck", False), ("motorcycle", False), (" ", False),
    ],
)  # fmt: skip
def test_what_is_a_car(noun: str, says: bool) -> None:
    assert is_car(noun) == says


def test_cars_are_mended_by_a_network_of_their_own_where_there_is_one(tmp_path: Path) -> None:
    save_weights(tmp_path)
    segmenter = BundledSegmenter(tmp_path)
    assert for_class(segmenter, "suv") is segmenter
    other = ShotNetwork(planes=PLANES)
    save_file(other.state_dict(), tmp_path / "cars.safetensors")
    assert for_class(segmenter, "mug") is segmenter
    fitted = for_class(segmenter, "suv")
    assert isinstance(fitted, BundledSegmenter) and fitted.name == segmenter.name
    weights = fitted._refiner.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in other.state_dict().items())
    assert segmenter._refiner is not fitted._refiner and segmenter.networks is fitted.networks


@torch.no_grad()
def test_what_one_network_is_unsure_of_the_other_decides(tmp_path: Path) -> None:
    save_weights(tmp_path)
    segmenter = BundledSegmenter(tmp_path)
    picture = Image.new("RGB", (40, 30), "red")
    for ours, theirs, expected in ((0.0, 4.0, 2.0), (-3.0, 1.0, -1.0), (2.0, 500.0, 5.5)):
        for (network, _), value in zip(segmenter.networks, (ours, theirs), strict=True):
            network.out.weight.zero_()
            network.out.bias.fill_(value)
        found = segmenter.probabilities(picture)
        assert found.shape == (30, 40)
        assert found == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-4)


@pytest.mark.parametrize("name", ["model", "shots", "refiner"])
def test_other_weights_are_refused(tmp_path: Path, name: str) -> None:
    save_weights(tmp_path)
    save_file({"out.weight": torch.zeros(1, 16, 1, 1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelLoadError, match=r"lacks|do not fit"):
        BundledSegmenter(tmp_path)


def test_compared_masks_have_their_pictures_size_and_a_drawn_one_stays(tmp_path: Path) -> None:
    save_weights(tmp_path)
    pictures = []
    for ground in ("grey", "navy", "olive"):
        picture = Image.new("RGB", (120, 90), ground)
        ImageDraw.Draw(picture).ellipse((35, 20, 85, 70), fill=(220, 30, 30))
        pictures.append(picture)
    drawn = Image.new("L", (120, 90))
    ImageDraw.Draw(drawn).ellipse((35, 20, 85, 70), fill=255)
    found = BundledSegmenter(tmp_path).compare(pictures, [drawn, None, None])
    assert found[0].mask == drawn and found[0].doubt == 0
    truth = np.asarray(drawn) > 127
    for other in found[1:]:
        inside = np.asarray(other.mask) > 127
        assert other.mask.mode == "L" and inside.shape == (90, 120)
        assert (inside & truth).sum() / (inside | truth).sum() > 0.9
        assert 0 <= other.doubt <= 1
