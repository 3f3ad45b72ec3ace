"""Proposals: regions of one image that might be the product, many of them wrong.

Each window of a grid of positions, sizes and proportions is taken as the place of a thing: GrabCut
separates in it what has other colours than everything outside (Rother et al. 2004,
https://doi.org/10.1145/1015706.1015720). What the network found is proposed as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from packshot.masks.regions import Region, cut_by_colours, cut_edge, overlap, without_specks

SIDE = 112
"""Pixels of the squares in which regions are proposed."""
_SIZES = (0.2, 0.3, 0.42, 0.58, 0.75)
_PROPORTIONS = (0.6, 1.0, 1.6)
_STEP = 0.3
"""Between neighbouring windows, of their size."""
_OFF_CENTRE = 0.28
"""How far from the image's centre a window's may be, of the image's side."""
_THRESHOLDS = (0.3, 0.5, 0.75)
_LEAST, _MOST = 0.008, 0.7
"""Of the image's area."""
_SAME, _SAME_GROWN = 0.9, 0.93
"""Overlap from which two proposals count as one."""
_GROWING = 0.12


def propose_anywhere(pixels: np.ndarray) -> list[Region]:
    """What has other colours than its surroundings: regions that might be the product.

    Args:
        pixels: uint8 [SIDE, SIDE, 3], RGB.
    """
    cuts = (_in_window(pixels, window) for window in _windows())
    return _with_enlarged(pixels, [cut for cut in cuts if cut is not None])


def propose(
    pixels: np.ndarray, probabilities: np.ndarray, others: Sequence[Region]
) -> list[Region]:
    """Regions that might be the product, the largest first, none twice.

    Args:
        pixels: uint8 [SIDE, SIDE, 3], RGB.
        probabilities: the network's, fp32 [SIDE, SIDE] in [0, 1].
        others: what `propose_anywhere` found.
    """
    found = _with_enlarged(pixels, [probabilities > threshold for threshold in _THRESHOLDS])
    return _distinct([region for region in [*found, *others] if _is_sized(region)], _SAME_GROWN)


def _with_enlarged(pixels: np.ndarray, regions: Sequence[Region]) -> list[Region]:
    islands = _distinct([part for region in regions for part in _parts(region)], _SAME)
    return islands + [cut_edge(pixels, region, _GROWING, rounds=3) for region in islands]


def _windows() -> Iterator[tuple[slice, slice]]:
    for size in _SIZES:
        for proportion in _PROPORTIONS:
            height, width = size * proportion**0.5, size / proportion**0.5
            step = max(_STEP * size, 0.1)
            for y in _centres(height, step):
                for x in _centres(width, step):
                    yield _span(y, height), _span(x, width)


def _centres(length: float, step: float) -> Sequence[float]:
    """Centres of windows of a length: the middle, and in steps from it as far as they may lie."""
    steps = int(min(0.5 - length / 2, _OFF_CENTRE) / step + 1e-6) if length < 1 else -1
    return [0.5 + step * index for index in range(-steps, steps + 1)]


def _span(centre: float, length: float) -> slice:
    first, last = int((centre - length / 2) * SIDE), int((centre + length / 2) * SIDE)
    return slice(max(1, first), min(SIDE - 1, last))


def _in_window(pixels: np.ndarray, window: tuple[slice, slice]) -> Region | None:
    inside = np.zeros(pixels.shape[:2], bool)
    inside[window] = True
    return cut_by_colours(pixels, inside, np.zeros_like(inside), inside, rounds=2)


def _parts(region: Region) -> list[Region]:
    """Its islands that are large enough; also all of it, if there are several."""
    if not _is_sized(region):
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    least = _LEAST * region.size
    islands = [labels == i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > least]
    return [region, *islands] if len(islands) > 1 else islands


def _is_sized(region: Region) -> bool:
    return bool(_LEAST < region.mean() < _MOST)


def _distinct(regions: Sequence[Region], same: float) -> list[Region]:
    kept: list[Region] = []
    for region in sorted((without_specks(each) for each in regions), key=lambda each: -each.sum()):
        if all(overlap(region, other) < same for other in kept):
            kept.append(region)
    return kept
