"""Thin parts that a mask has lost: the tip of an antenna, a stem, a handle's end.

A cut by colours costs by the length of its edge, so it leaves off what is nearly all edge. Here each
pixel near the mask is judged by its colour alone, and only what hangs on the mask as a thin thing is
added.
"""

from __future__ import annotations

import cv2
import numpy as np

from packshot.masks.regions import Region, grown

_REACH = 0.14
"""How far from the mask they are looked for, of its size (the root of its area)."""
_LIKELIER = 1.5
"""The logarithm of how many times likelier a colour must be in the mask than around it."""
_LEAST_LENGTH, _MOST_AREA = 0.015, 0.02
"""How far one must reach, of the mask's size; and how much it may cover, of its area."""
_SLENDER = 0.5
"""The most that it may be wide, of how far it reaches."""
_BINS = 16


def with_thin_parts(pixels: np.ndarray, region: Region) -> Region:
    """A region with the thin parts that hang on it.

    Args:
        pixels: uint8 [h, w, 3], RGB.
        region: [h, w].
    """
    size = float(np.sqrt(region.sum()))
    reach = max(3, int(_REACH * size))
    around = grown(region, 2 * reach) & ~grown(region, 3)
    inside = grown(region, -2)
    if not inside.any() or not around.any():
        return region
    bins = _binned(pixels)
    likelier = np.log(_shares(bins[inside]) + 1e-5) - np.log(_shares(bins[around]) + 1e-5)
    alike = grown(region, reach) & ~region & (likelier[bins] > _LIKELIER)
    _, islands, stats, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8))
    away = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, 3)
    result = region.copy()
    for index in set(np.unique(islands[grown(region, 2)])) - {0}:
        part, area = islands == index, stats[index, cv2.CC_STAT_AREA]
        length = float(away[part].max())
        is_long = length >= max(3, _LEAST_LENGTH * size) and area <= _MOST_AREA * region.sum()
        if is_long and _width(part) <= _SLENDER * length + 2:
            result |= part
    return result


def _width(part: Region) -> float:
    """Twice the largest distance to its edge, in pixels."""
    return 2 * float(cv2.distanceTransform(np.pad(part, 1).astype(np.uint8), cv2.DIST_L2, 3).max())


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
