"""Parts that a mask has lost: a wheel on asphalt, a lid before a wall.

They are added where a network found them, they look like the product of the other photos, and their
colours are its and not the ground's.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from packshot.masks.regions import SAME_THING, Region, grown, overlap
from packshot.masks.resemblance import odds_at

_GROUND = 0.3
"""Width of the ground whose colours are compared with, of the mask's size."""
_LEAST_PART, _MOST_PART = 0.002, 0.05
"""How much a part may cover, of the mask's area."""
_LIKE = 1.0
"""The least log odds that a part is the product, by what the other photos show."""
_OF_PRODUCT = 0.5
"""The logarithm of how many times likelier a part's colours must be in the product than on the ground."""
_BINS = 16


def with_lost_parts(
    pixels: np.ndarray,
    region: Region,
    found: Sequence[Region],
    odds: np.ndarray,
    colours: np.ndarray,
) -> Region:
    """A region with what networks found beside it, where all tells that it is the product's.

    Args:
        pixels: uint8 [h, w, 3], RGB.
        region: [h, w].
        found: what each network found, [h, w].
        odds: how much each place looks like the product of the other photos (`resemblances`).
        colours: the product's (`colour_shares`), from all photos.
    """
    size, area = float(np.sqrt(region.sum())), region.sum()
    ground = grown(region, int(_GROUND * size)) & ~grown(region, max(3, int(0.04 * size)))
    ground &= ~np.any(found, axis=0)
    if not ground.any():
        return region
    bins, own = _binned(pixels), odds_at(odds, region)
    likelier = np.log(colours + 1e-5) - np.log(_shares(bins[ground]) + 1e-5)
    result = region.copy()
    for each in found:
        if overlap(each, result) < SAME_THING:
            continue
        extra = cv2.morphologyEx((each & ~result).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
        count, islands = cv2.connectedComponents(extra)
        for part in (islands == index for index in range(1, count)):
            is_sized = _LEAST_PART * area <= part.sum() <= _MOST_PART * area
            if is_sized and own[part].mean() > _LIKE and likelier[bins[part]].mean() > _OF_PRODUCT:
                result |= part
    return result


def colour_shares(pixels: np.ndarray, region: Region) -> np.ndarray:
    """How much of a region, which is not empty, has each colour: fp32 [colours]."""
    return _shares(_binned(pixels)[region])


def _binned(pixels: np.ndarray) -> np.ndarray:
    """The bin of each pixel's colour in CIELAB: int [h, w]."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    scaled = lab * np.array([_BINS / 100.01, _BINS / 256, _BINS / 256], np.float32)
    places = (scaled + np.array([0, _BINS / 2, _BINS / 2])).astype(int).clip(0, _BINS - 1)
    bins: np.ndarray = places @ np.array([_BINS**2, _BINS, 1])
    return bins


def _shares(bins: np.ndarray) -> np.ndarray:
    """How much of some pixels has each bin's colour, neighbouring bins mixed: fp32 [bins]."""
    counts = np.bincount(bins, minlength=_BINS**3).reshape(_BINS, _BINS, _BINS).astype(np.float32)
    for axis in range(3):
        before, after = np.roll(counts, 1, axis), np.roll(counts, -1, axis)
        counts = 0.5 * counts + 0.25 * (before + after)
    shares: np.ndarray = counts.ravel() / len(bins)
    return shares
