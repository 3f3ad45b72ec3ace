"""Masks as segmenters get them wrong: parts lost, things beside joined, thin parts closed, edges moved."""

from __future__ import annotations

import cv2
import numpy as np

from packshot.masks.refiner import box_around
from packshot.masks.regions import Region, cut_by_colours, cut_edge, grown, overlap

_LEAST_LEFT = 0.3
"""Overlap with the true mask that is left: what is more wrong is of another thing."""
_BY_COLOURS = 0.2
"""How often all that is known is a window, in which colours decide."""


def spoilt(picture: np.ndarray, mask: Region, rng: np.random.Generator) -> Region:
    """A wrong mask [h, w] of what is truly at `mask`, in a picture uint8 [h, w, 3]."""
    size = float(np.sqrt(mask.sum()))
    wrong = mask
    if rng.random() < _BY_COLOURS:
        wrong = _or_before(_in_window(picture, mask, rng), mask, mask)
    for chance, spoil in (
        (0.35, _resized), (0.65, _without), (0.6, _joined), (0.5, _with_shade), (0.3, _bitten),
    ):  # fmt: skip
        if rng.random() < chance:
            wrong = _or_before(spoil(picture, wrong, size, rng), wrong, mask)
    if rng.random() < 0.25:
        tried = cut_edge(picture, wrong, float(rng.uniform(0.03, 0.12)), rounds=1)
        wrong = _or_before(tried, wrong, mask)
    return wrong


def _or_before(tried: Region, before: Region, mask: Region) -> Region:
    return tried if overlap(tried, mask) >= _LEAST_LEFT else before


def _in_window(picture: np.ndarray, mask: Region, rng: np.random.Generator) -> Region:
    """What has other colours than all that is outside a window about it."""
    box = box_around(mask, float(rng.uniform(1.0, 1.3)))
    window = np.zeros_like(mask)
    window[box.part] = True
    cut = cut_by_colours(picture, window, np.zeros_like(window), window, rounds=1)
    return window if cut is None else cut


def _resized(_picture: np.ndarray, wrong: Region, size: float, rng: np.random.Generator) -> Region:
    """Moved edges: opened, closed, grown or shrunk."""
    width = max(1, int(rng.uniform(0.01, 0.06) * size))
    ways = ((width, -width), (-width, width), (width, 0), (-width // 2, 0))
    first, second = ways[int(rng.integers(len(ways)))]
    return grown(grown(wrong, first), second)


def _without(picture: np.ndarray, wrong: Region, size: float, rng: np.random.Generator) -> Region:
    """Without parts of one colour each: a black wheel, a handle, a band along a side."""
    for _ in range(rng.integers(1, 4)):
        part = _of_one_colour(picture, wrong, rng)
        wrong = wrong & ~part
    return wrong


def _joined(picture: np.ndarray, wrong: Region, size: float, rng: np.random.Generator) -> Region:
    """With what lies beside it: a saucer, a plinth, a shadow."""
    near = grown(wrong, max(2, int(rng.uniform(0.05, 0.6) * size))) & ~wrong
    for _ in range(rng.integers(1, 4)):
        if near.any():
            wrong = wrong | (_of_one_colour(picture, near, rng) & near)
    return wrong


def _with_shade(
    picture: np.ndarray, wrong: Region, size: float, rng: np.random.Generator
) -> Region:
    """With the shade that it throws on the ground: what is darker there, below it and beside its foot."""
    near = grown(wrong, max(2, int(rng.uniform(0.1, 0.6) * size))) & ~wrong
    rows = np.flatnonzero(wrong.any(axis=1))
    if len(rows):
        near[: round(rows[0] + rng.uniform(0.4, 0.8) * np.ptp(rows))] = False
    if not near.any():
        return wrong
    light = cv2.GaussianBlur(picture.mean(axis=2), (0, 0), 1.0)
    in_the_open = float(np.quantile(light[near], 0.8))
    dark = near & (light < rng.uniform(0.55, 0.92) * in_the_open)
    _, labels = cv2.connectedComponents(dark.astype(np.uint8))
    touching = np.unique(labels[grown(wrong, 2) & dark])
    return wrong | (dark & np.isin(labels, touching[touching > 0]))


def _bitten(_picture: np.ndarray, wrong: Region, size: float, rng: np.random.Generator) -> Region:
    """With discs added to, or taken from, its edge."""
    edge = np.argwhere(grown(wrong, 1) & ~wrong)
    for _ in range(int(rng.integers(1, 3)) if len(edge) else 0):
        y, x = edge[rng.integers(len(edge))]
        disc = np.zeros(wrong.shape, np.uint8)
        cv2.circle(disc, (int(x), int(y)), max(1, int(rng.uniform(0.04, 0.25) * size)), 1, -1)
        wrong = wrong | (disc > 0) if rng.random() < 0.4 else wrong & (disc == 0)
    return wrong


def _of_one_colour(picture: np.ndarray, within: Region, rng: np.random.Generator) -> Region:
    """The part of a region about one of its places that has about that place's colour."""
    places = np.argwhere(within)
    if not len(places):
        return within
    y, x = places[rng.integers(len(places))]
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    blocked = np.pad(~within, 1, constant_values=True).astype(np.uint8)
    far = (float(rng.uniform(4, 60)),) * 3
    flags = 4 | (2 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    cv2.floodFill(smooth, blocked, (int(x), int(y)), 0, far, far, flags)
    found: Region = blocked[1:-1, 1:-1] == 2
    return grown(found, 1) & within
