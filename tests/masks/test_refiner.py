"""The network that mends masks: what it is shown, and where its answer belongs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from packshot.masks.refiner import (
    PLANES,
    box_around,
    kept_of_more,
    mended,
    refine,
    share_in_doubt,
    with_foot,
)
from packshot.masks.regions import overlap
from packshot.masks.shot_network import PIXELS, ShotNetwork


class _Answer(nn.Module):
    """Answers with one plane of what it is shown, and keeps that."""

    def __init__(self, plane: int) -> None:
        super().__init__()
        self.plane, self.shown = plane, []

    def forward(self, views: Tensor) -> Tensor:
        self.shown.append(views)
        return 9 * views[:, self.plane : self.plane + 1]


def _somewhere() -> tuple[np.ndarray, np.ndarray]:
    """A picture whose red part is a tall mask, off its middle."""
    region = np.zeros((300, 400), bool)
    region[40:220, 250:330] = True
    region[40:80, 250:280] = False
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[region] = 255, 30, 30
    return pixels, region


def test_a_box_is_a_square_about_the_region_within_the_picture() -> None:
    _, region = _somewhere()
    box = box_around(region, 1.0)
    assert (box.top, box.bottom) == (39, 220)
    assert box.right - box.left == pytest.approx(box.bottom - box.top, abs=1)
    assert (box.left + box.right) / 2 == pytest.approx(290, abs=1)
    wide = box_around(region, 4.0)
    assert wide == (0, 0, 300, 400)


@pytest.mark.parametrize("plane", [0, 3])
def test_the_answer_lies_where_the_picture_and_the_mask_do(plane: int) -> None:
    pixels, region = _somewhere()
    found = refine(_Answer(plane), pixels, region)
    assert found.shape == region.shape
    assert overlap(found > 0.5, region) > 0.97
    assert found[:, :60].max() < 1e-3, "what it is not shown is not the product"


def test_it_is_shown_the_mask_and_both_sides_at_its_own_size() -> None:
    pixels, region = _somewhere()
    network = _Answer(3)
    refine(network, pixels, region)
    assert all(view.shape == (1, PLANES, PIXELS, PIXELS) for view in network.shown)
    plain, mirrored, *_ = network.shown
    assert torch.equal(plain, mirrored.flip(3))
    assert float(plain.min()) == -1.0
    assert float(plain[:, 3].max()) == 1.0


def _toy(beside: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture with a red toy, its mask, and the same without what the toy has beside it."""
    body = np.zeros((300, 300), bool)
    body[140:240, 80:200] = True
    toy = body.copy()
    toy[beside] = True
    pixels = np.full((300, 300, 3), (0, 120, 120), np.uint8)
    pixels[toy] = 255, 30, 30
    return pixels, toy, body


def test_an_antenna_is_found_that_reaches_out_of_the_band() -> None:
    pixels, toy, body = _toy((slice(60, 140), slice(150, 154)))
    found = mended(_Answer(0), pixels, body)
    assert overlap(found, toy) > 0.97
    assert found[65:140, 150:154].mean() > 0.9, "up to its tip, without a gap"


def test_a_thing_beside_is_no_part() -> None:
    pixels, toy, body = _toy((slice(150, 240), slice(202, 290)))
    pixels[:, 200:202] = 0, 120, 120
    found = mended(_Answer(0), pixels, body)
    assert not found[:, 240:].any(), "further out than the band only thin parts are taken"
    assert overlap(found, body) > overlap(found, toy)


class _KeepsWhatItIsShown(nn.Module):
    """Takes what is red for the product, where the mask has it already."""

    def forward(self, views: Tensor) -> Tensor:
        return 9 * torch.minimum(views[:, :1], views[:, 3:])


def test_what_a_mask_lost_is_kept_of_a_larger_one() -> None:
    pixels, toy, body = _toy((slice(240, 246), slice(80, 200)))
    network = _KeepsWhatItIsShown()
    assert not (refine(network, pixels, body) > 0.5)[242:].any(), "else there was nothing to find"
    assert overlap(kept_of_more(network, pixels, body), toy) > 0.97


@pytest.mark.parametrize(
    ("columns", "is_foot"),
    [((28, 72), True), ((20, 80), False), ((0, 100), False), ((20, 40), False), ((40, 84), False)],
)
def test_what_is_kept_below_a_thing_is_its_foot_by_its_width(
    columns: tuple[int, int], is_foot: bool
) -> None:
    body, kept = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    body[20:80, 20:80] = True
    kept[80:86, slice(*columns)] = True
    both = with_foot(body, kept | body)
    assert np.array_equal(both, body | kept if is_foot else body)
    assert not with_foot(np.zeros_like(body), kept).any()
    kept[:] = False
    kept[40:46, 80:90] = True  # beside it
    assert np.array_equal(with_foot(body, kept), body)


def test_a_mask_stays_of_which_the_network_would_leave_little() -> None:
    pixels, _, body = _toy((slice(0, 0), slice(0, 0)))
    pixels[140:170] = 0, 120, 120
    assert np.array_equal(mended(_Answer(0), pixels, body), body)


@pytest.mark.parametrize("rows", [slice(190, 220), slice(40, 75)])
def test_more_is_taken_away_only_as_shade_of_the_lower_half(rows: slice) -> None:
    """A part that is not red, of the mask's lower or of its upper end, with a share of it that is lost."""
    pixels, region = _somewhere()
    pixels[rows] = 0, 120, 120
    part = np.zeros_like(region)
    part[rows] = region[rows]
    share = part.sum() / region.sum()
    assert 0.1 < share < 0.25
    network = _Answer(0)
    assert np.array_equal(mended(network, pixels, region), region)
    found = mended(network, pixels, region, most_shade=0.25)
    wanted = region & ~part if rows.start > 130 else region
    assert overlap(found, wanted) > 0.94
    assert np.array_equal(mended(network, pixels, region, most_shade=share / 2), region)


def test_the_share_in_doubt_is_what_the_network_would_have_otherwise() -> None:
    pixels, toy, body = _toy((slice(140, 240), slice(202, 242)))
    sure = share_in_doubt(_Answer(0), pixels, toy)
    assert sure < 0.03
    missing = share_in_doubt(_Answer(0), pixels, body)
    assert missing == pytest.approx(1 - body.sum() / toy.sum(), abs=0.03)
    assert share_in_doubt(_Answer(0), pixels, np.zeros_like(body)) == 1


def test_without_a_mask_there_is_nothing_to_mend() -> None:
    pixels, region = _somewhere()
    network = _Answer(0)
    assert not refine(network, pixels, np.zeros_like(region)).any()
    assert not network.shown


def test_the_network_takes_a_fourth_plane() -> None:
    network = ShotNetwork((16, 32), PLANES).eval()
    assert network(torch.zeros(2, PLANES, 64, 64)).shape == (2, 1, 64, 64)
