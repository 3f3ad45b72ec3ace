"""Gaps between a product's parts, through which the photo's background shows, that its mask took along."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from skimage.color import rgb2lab

from packshot.insertion.background import Colours
from packshot.masks.regions import Region, continued, grown

_PIXELS = 720
"""Longer side of the product at which gaps are looked for."""
_BESIDE = 0.06
"""Of that: how far beside the mask the background is compared."""
_EVEN = 1.0
"""CIELAB a pixel: what changes by less has no edge."""
_EDGE, _CLOSED = 4.0, 0.7
"""What changes by more is an edge, and the share of a gap's border within the mask that must be one."""
_ALIKE = 6.0
"""CIELAB between a gap and the background beside it."""
_DARK = 25.0
"""Lightness below which an edge may be there and not be seen."""
_LEAST, _MOST = 1e-4, 0.01
"""Of the mask's area: more is a cap or a label that is as white as what is behind it."""
_RIM = 4
"""Pixels: what mixes a gap's colour with that of its border."""


def without_gaps(colours: Colours, alpha: Colours) -> Colours:
    """A mask [h, w] in [0, 1] without gaps that it took along.

    A gap is even and of the background's colour, goes on into that where the mask ends, though the
    photo has no edge there, and ends at edges within the mask. (Of 45 photos of eight products it takes
    something out of three: a vase, and twice a clock on white cloth, one of which is half hidden and loses
    a little of its dial.)

    Args:
        colours: the photo's, [h, w, 3] in [0, 1].
    """
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return alpha
    longest = int(max(np.ptp(rows), np.ptp(columns))) + 1
    margin, scale = round(_BESIDE * longest), min(1.0, _PIXELS / longest)
    down, across = (
        slice(max(0, ends[0] - margin), ends[-1] + margin + 1) for ends in (rows, columns)
    )
    part = down, across
    near, mask = colours[part], alpha[part]
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    small, inside = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (near, mask))
    found = _gaps(small, inside > 0.5)
    if not found.any():
        return alpha
    kept = alpha.copy()
    full = cv2.resize(found.astype(np.float32), mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    kept[part] = np.minimum(mask, 1 - full)
    return kept


def _gaps(colours: Colours, inside: Region) -> Region:
    lab = cv2.GaussianBlur(rgb2lab(colours.clip(0, 1)).astype(np.float32), (0, 0), 1.0)
    change = np.sqrt(sum(_squared_gradient(plane) for plane in cv2.split(lab)))
    beside = grown(inside, max(2, round(_BESIDE * max(inside.shape)))) & ~inside
    sharp = grown(change > _EDGE, 3)
    found, least = np.zeros_like(inside), _LEAST * inside.sum()
    for even in _even_parts((change < _EVEN) & (lab[..., 0] > _DARK), inside, beside, least):
        alike = np.linalg.norm(lab - continued(lab, even & beside), axis=2) < _ALIKE
        for gap in _islands(even & inside & alike):
            border = grown(gap, 2) & inside & ~gap
            small_enough = least <= gap.sum() <= _MOST * inside.sum()
            if small_enough and border.any() and sharp[border].mean() > _CLOSED:
                found |= gap
    if not found.any():
        return found
    mixed = np.linalg.norm(lab - continued(lab, found), axis=2) < 2.5 * _ALIKE
    return found | (grown(found, _RIM) & inside & mixed)


def _even_parts(even: Region, inside: Region, beside: Region, least: float) -> Iterator[Region]:
    """The connected even parts that reach over the mask's edge."""
    count, labels = cv2.connectedComponents(even.astype(np.uint8), connectivity=4)
    within, without = (np.bincount(labels[where], minlength=count) for where in (inside, beside))
    for number in range(1, count):
        if min(within[number], without[number]) >= max(least, 1):
            yield labels == number


def _islands(region: Region) -> Iterator[Region]:
    count, labels = cv2.connectedComponents(region.astype(np.uint8))
    for number in range(1, count):
        yield labels == number


def _squared_gradient(plane: Colours) -> Colours:
    across, down = (cv2.Sobel(plane, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    return np.asarray(across**2 + down**2)
