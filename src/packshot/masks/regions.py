"""Regions of an image as boolean arrays [h, w]: how alike they are, tidying them, cutting by colours."""

from __future__ import annotations

import cv2
import numpy as np

Region = np.ndarray
"""Boolean [h, w]."""
_SPECK = 0.05
SAME_THING = 0.65
"""Overlap from which two regions found in different ways are the same thing."""


def overlap(one: Region, other: Region) -> float:
    """Intersection over union; 0 for two empty regions."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def resized(region: Region, size: tuple[int, int]) -> Region:
    """A region at another size (width, height)."""
    smaller = size[0] < region.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    scaled: Region = cv2.resize(region.astype(np.float32), size, interpolation=way) > 0.5
    return scaled


def without_specks(inside: Region) -> Region:
    """Without islands, and without holes, of under a twentieth of the largest island."""
    least = 0.0
    for wanted in (True, False):
        same = (inside == wanted).astype(np.uint8)
        count, islands, stats, _ = cv2.connectedComponentsWithStats(same)
        areas = stats[:, cv2.CC_STAT_AREA]
        least = _SPECK * areas[1:].max(initial=0) if wanted else least
        small = (np.arange(count) > 0) & (areas < least)
        inside = np.where(small[islands], not wanted, inside)
    return inside


def grown(region: Region, pixels: int) -> Region:
    """A region with a margin around it; with a negative number, without its margin.

    Beyond the image's edge it goes on as it is at the edge.
    """
    side = 2 * abs(pixels) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    if pixels >= 0:
        return cv2.dilate(region.astype(np.uint8), disc) > 0
    return cv2.erode(region.astype(np.uint8), disc, borderValue=1) > 0


def cut_by_colours(
    pixels: np.ndarray, likely: Region, sure: Region, possible: Region, rounds: int
) -> Region | None:
    """Decide by colours which of the pixels that are possible, but not sure, belong to a region.

    GrabCut (Rother et al. 2004, https://doi.org/10.1145/1015706.1015720).

    Args:
        pixels: uint8 [h, w, 3], RGB.
        likely: where the decision begins.

    Returns:
        The region, or None where nothing is left to decide by: all is inside or all is outside.
    """
    labels = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[sure] = cv2.GC_FGD
    labels[~possible] = cv2.GC_BGD
    inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not inside.any() or not (labels == cv2.GC_BGD).any():
        return None
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    cv2.grabCut(bgr, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def cut_edge(pixels: np.ndarray, region: Region, share: float, rounds: int) -> Region:
    """Let colours decide in a band along a region's edge.

    Args:
        share: half the band's width, of the region's size (the root of its area).
    """
    width = max(1, round(share * float(np.sqrt(region.sum()))))
    cut = cut_by_colours(pixels, region, grown(region, -width), grown(region, width), rounds)
    return region if cut is None else without_specks(cut)


def continued(values: np.ndarray, where: Region) -> np.ndarray:
    """For each pixel the values [h, w, channels] of the nearest one in a region, which is not empty."""
    _, labels = cv2.distanceTransformWithLabels(
        1 - where.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = np.zeros((int(labels.max()) + 1, values.shape[2]), values.dtype)
    known[labels[where]] = values[where]
    return known[labels]
