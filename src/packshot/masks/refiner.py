"""What is wrong in a mask, as a network tells that sees the product from near, and the mask with it.

Trained on drawn products whose masks were spoilt: parts lost, saucers joined, handles closed.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from packshot.masks.regions import Region, cut_by_colours, grown, without_specks
from packshot.masks.shot_network import PIXELS

PLANES = 4
"""What the network sees: red, green, blue, and the mask."""
_MARGINS = (1.25, 1.6)
"""Sides of the squares that it is shown, of the mask's longer side."""
_OUTSIDE = -9.0
"""Logit of what it is not shown."""
_BAND = 0.16
"""How far inside and outside a mask's edge it is mended, of the mask's size: the network may doubt what
is printed on the product, or take along what stands beside it."""
_SURE, _POSSIBLE, _FAINT = 0.9, 0.1, 0.3
_THIN, _MOST_THIN = 0.04, 0.08
"""Half the width of a thin part, of the mask's size, and how much all of it covers, of its area."""

_LOW, _BASE = 0.15, 0.05
"""Of a thing's height: where its foot is looked for, and what above its lower edge is surely of its body."""
_FOOT = (0.6, 0.95)
"""How wide a foot is, of the body above it."""
_ASIDE = 0.1
"""How far its middle lies from the body's, of the body's width."""

_LOOKS = 2
_MORE = 0.06
"""By how much of its size a mask is grown to see what of that is the product."""
_MOST_LOST = 0.1
"""Of a mask: where the network would take away more, it does not know the thing. (Where it is right it takes
.06 at most, of 45 photos and 12 renders; of a car seen from behind it would have taken .3.)"""
MOST_SHADE = 0.25
"""Of the lower half of a mask the network that knows cars may take away so much more: seen from the front, a
fifth of a mask may be the shade below. (Above, it would take a toy car's driver and antenna.)"""


class Box(NamedTuple):
    """Pixels `top` to `bottom` (not included) and `left` to `right` (not included)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def part(self) -> tuple[slice, slice]:
        """The box as an index of arrays."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def box_around(region: Region, margin: float) -> Box:
    """A square about a region that is not empty, cut at the picture's edges.

    Args:
        margin: the square's side, of the region's longer side.
    """
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    half = margin * max(np.ptp(rows), np.ptp(columns)) / 2 + 1
    y, x = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    height, width = region.shape
    return Box(
        max(0, round(y - half)), max(0, round(x - half)),
        min(height, round(y + half)), min(width, round(x + half)),
    )  # fmt: skip


def mended(
    network: nn.Module, pixels: np.ndarray, region: Region, most_shade: float = 0.0
) -> Region:
    """A mask [h, w] with its edge as the network sees it, and where it is unsure, as colours tell.

    Then it looks again, for thin parts that reach further out: antennas, handles, straps. Where it has
    found some, it looks once more, from further away.

    Args:
        network: a `ShotNetwork` of `PLANES`.
        pixels: uint8 [h, w, 3], RGB.
        most_shade: how much of a mask it may take away of its lower half.
    """
    width = max(1, round(_BAND * float(np.sqrt(region.sum()))))
    shares = np.where(grown(region, width), refine(network, pixels, region), 0)
    edged = _decided(pixels, grown(region, -width), shares, region)
    lost = region & ~edged
    if lost.sum() > _MOST_LOST * region.sum():
        below = lost & _lower_half(region)
        if not 0 < below.sum() <= most_shade * region.sum():
            return region
        edged = edged | (lost & ~below)
    either = region | edged  # of a thin part perhaps the one has the root and the other the tip
    for _ in range(_LOOKS):
        parts = _thin_parts(edged, either, refine(network, pixels, either))
        if not (parts & ~edged).any():
            break
        edged = either = edged | parts
    return edged


def kept_of_more(network: nn.Module, pixels: np.ndarray, region: Region) -> Region:
    """What the network keeps of a mask [h, w] that is grown: what a mask has not, it hardly sees.

    (A can's foot that is as grey as the ground it does not add, but of a mask that has both it
    takes only the ground away.)

    Args:
        network: a `ShotNetwork` of `PLANES`.
        pixels: uint8 [h, w, 3], RGB.
    """
    more = grown(region, max(1, round(_MORE * float(np.sqrt(region.sum())))))
    kept: Region = refine(network, pixels, more) > 0.5
    return kept


def with_foot(region: Region, kept: Region) -> Region:
    """A mask [h, w] with those parts below it that are a foot: nearly as wide as the body.

    Of a can's silver foot, which is lost in every photo, no other photo tells. What is wider is the
    ground, what lies aside is a shadow. (Of 45 photos three of six cans get back their feet.)

    Args:
        kept: of `kept_of_more`.
    """
    rows = np.flatnonzero(region.any(axis=1))
    if not len(rows):
        return region
    height, bottom = np.ptp(rows) + 1, rows[-1] + 1
    first, last = (round(bottom - share * height) for share in (_LOW, _BASE))
    body = np.flatnonzero(region[first:last].any(axis=0))
    if not len(body):
        return region
    beside = (kept & ~region).astype(np.uint8)
    beside[:first] = 0
    _, labels, stats, _ = cv2.connectedComponentsWithStats(beside)
    widths = stats[:, cv2.CC_STAT_WIDTH] / (np.ptp(body) + 1)
    aside = stats[:, cv2.CC_STAT_LEFT] + stats[:, cv2.CC_STAT_WIDTH] / 2 - body.mean()
    is_foot = (widths >= _FOOT[0]) & (widths <= _FOOT[1])
    is_foot &= np.abs(aside) <= _ASIDE * (np.ptp(body) + 1)
    is_foot[0] = False  # what is not beside it
    result: Region = region | is_foot[labels]
    return result


def _lower_half(region: Region) -> Region:
    """Of the rows of a mask [h, w] that is not empty the lower half, as a mask."""
    rows = np.flatnonzero(region.any(axis=1))
    lower = np.zeros_like(region)
    lower[(rows[0] + rows[-1] + 1) // 2 :] = True
    return lower


def _decided(pixels: np.ndarray, core: Region, shares: np.ndarray, before: Region) -> Region:
    """A core, with what is added by probabilities [h, w], and where these are unsure, by colours."""
    sure, possible = core | (shares > _SURE), core | (shares >= _POSSIBLE)
    if not sure.any() or not (possible & ~sure).any():
        return sure if sure.any() else before
    cut = cut_by_colours(pixels, core | (shares > 0.5), sure, possible, rounds=2)
    return before if cut is None else without_specks(cut)


def _thin_parts(edged: Region, either: Region, shares: np.ndarray) -> Region:
    """What the network sees further out, if it is thin and near; where it begins, as it was in `either`."""
    size, area = float(np.sqrt(edged.sum())), edged.sum()
    width, seen = max(2, round(_THIN * size)), shares > _FAINT
    beside = (seen & ~grown(edged, 1)).astype(np.uint8)  # not the edge's own rim
    thickness = cv2.distanceTransform(beside, cv2.DIST_L2, 3)
    near = grown(edged, width)
    found = np.zeros_like(edged)
    count, labels = cv2.connectedComponents(beside, connectivity=8)
    for number in range(1, count):
        part = labels == number
        is_thin = thickness[part].max() < _THIN * size and part.sum() < _MOST_THIN * area
        reaches_out = (part & ~near).any()
        if is_thin and reaches_out and (part & near).any():
            found |= part | ((either | seen) & near & grown(part, width))
    return found


def share_in_doubt(network: nn.Module, pixels: np.ndarray, region: Region) -> float:
    """How much of a mask is wrong, as the network expects it: 0 to 1.

    One less the intersection over union that its probabilities promise. (Of 45 photos with outlines
    drawn by hand the rank correlation with what is truly wrong is 0.72.)

    Args:
        network: a `ShotNetwork` of `PLANES`.
        pixels: uint8 [h, w, 3], RGB.
    """
    shares = refine(network, pixels, region)
    either = region.sum() + shares[~region].sum()
    return 1 - float(shares[region].sum() / max(1.0, either))


@torch.no_grad()
def refine(network: nn.Module, pixels: np.ndarray, region: Region) -> np.ndarray:
    """Probabilities, fp32 [h, w], of what a mask [h, w] that is partly wrong should have been.

    Logits are averaged over two squares about the mask, and over each one's mirror image.

    Args:
        network: a `ShotNetwork` of `PLANES`.
        pixels: uint8 [h, w, 3], RGB.
    """
    if not region.any():
        return np.zeros(region.shape, np.float32)
    total, seen = (np.zeros(region.shape, np.float32) for _ in range(2))
    for margin in _MARGINS:
        box = box_around(region, margin)
        view = _view(pixels[box.part], region[box.part])
        logits = (network(view) + network(view.flip(3)).flip(3))[0, 0].numpy() / 2
        size = box.right - box.left, box.bottom - box.top
        total[box.part] += cv2.resize(logits, size, interpolation=cv2.INTER_CUBIC)
        seen[box.part] += 1
    logits = np.where(seen > 0, total / seen.clip(1), _OUTSIDE)
    probabilities: np.ndarray = 1 / (1 + np.exp(-logits.clip(-60, 60)))
    return probabilities


def _view(pixels: np.ndarray, region: Region) -> Tensor:
    both = np.dstack([pixels, region.astype(np.uint8) * 255])
    square = cv2.resize(both, (PIXELS, PIXELS), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(square.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
