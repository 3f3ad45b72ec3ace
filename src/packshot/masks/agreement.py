"""Which proposal of each photo is the product: all photos of a project show the same one.

A proposal is worth more, the more its colours differ from those around it, the more the network
agrees, the larger and the more compact it is, and the less of it lies at the photo's edge; and the
more alike its colours are to those of what is chosen in the other photos. The photos settle it by
passing each other messages (max-sum belief propagation, all with all: Pearl 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from packshot.masks.proposals import SIDE
from packshot.masks.regions import Region, grown

_CONTRAST, _NETWORK, _OFF_CENTRE, _SOLID, _AT_EDGE, _SIZE = 2.0, 2.0, -4.0, 0.3, -18.0, 0.3
_ALIKE = 17.0
_ROUNDS = 3
_COLOURS = 64
"""How many colours a project's photos are divided into."""
_NEAR = 9.0
"""Distance in CIELAB (lightness counts six tenths) at which two colours still are much alike."""
_LIGHTNESS = 0.6
_RING = 0.2
"""Width of what counts as around a proposal, of its size."""
_RING_BINS = (6, 14, 14)


@dataclass(frozen=True)
class View:
    """One photo, small: its pixels, what the network says, and its proposals.

    Attributes:
        pixels: uint8 [SIDE, SIDE, 3], RGB.
        probabilities: fp32 [SIDE, SIDE] in [0, 1].
        proposals: the only one, if a person drew it; at least one.
    """

    pixels: np.ndarray
    probabilities: np.ndarray
    proposals: Sequence[Region]


def choose(views: Sequence[View]) -> list[int]:
    """The index of each photo's proposal that is the product."""
    worth = [
        np.array([_worth(view, lab, region) for region in view.proposals])
        for view, lab in zip(views, map(_lab, views), strict=True)
    ]
    colours = _colours(views)
    beliefs = worth
    for _ in range(_ROUNDS if len(views) > 1 else 0):
        beliefs = [_told(index, worth, beliefs, colours) for index in range(len(views))]
    return [int(belief.argmax()) for belief in beliefs]


def _told(
    index: int,
    worth: Sequence[np.ndarray],
    beliefs: Sequence[np.ndarray],
    colours: Sequence[np.ndarray],
) -> np.ndarray:
    """A photo's beliefs [N], after each other photo has said how alike its proposals are."""
    messages = [
        (_ALIKE * colours[index] @ other.T + belief - belief.max()).max(axis=1)
        for at, (other, belief) in enumerate(zip(colours, beliefs, strict=True))
        if at != index
    ]
    told: np.ndarray = worth[index] + np.mean(messages, axis=0)
    return told


def _lab(view: View) -> np.ndarray:
    lab = cv2.cvtColor(view.pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    return lab * np.array([_LIGHTNESS, 1, 1], np.float32)


def _colours(views: Sequence[View]) -> list[np.ndarray]:
    """For each photo the roots of its proposals' colour shares, [N, colours].

    The product of two rows is Bhattacharyya's coefficient: 1 if they have the same colours.
    """
    pixels = np.concatenate([_lab(view).reshape(-1, 3) for view in views])
    thinned = pixels[:: max(1, len(views) // 8)]
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 15, 1.0)
    start = np.zeros((len(thinned), 1), np.int32)
    _, _, centres = cv2.kmeans(thinned, _COLOURS, start, stop, 1, cv2.KMEANS_PP_CENTERS)
    apart = ((centres[:, None] - centres[None]) ** 2).sum(axis=-1)
    spread = np.exp(-apart / (2 * _NEAR**2))
    spread /= spread.sum(axis=1, keepdims=True)
    shares = []
    for view in views:
        distances = (centres**2).sum(axis=1) - 2 * _lab(view).reshape(-1, 3) @ centres.T
        nearest = distances.argmin(axis=1)
        counts = [
            np.bincount(nearest[region.ravel()], minlength=_COLOURS) / region.sum()
            for region in view.proposals
        ]
        shares.append(np.sqrt(np.stack(counts) @ spread))
    return shares


def _worth(view: View, lab: np.ndarray, region: Region) -> float:
    """What a proposal is worth by itself."""
    area = float(region.sum())
    size = float(np.sqrt(area))
    edge = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]]).sum()
    rim = (region & ~_eroded(region)).sum()
    down, across = (axis.mean() / SIDE - 0.5 for axis in np.nonzero(region))
    outline = np.argwhere(region)[:, ::-1].astype(np.int32)
    hull = max(1.0, cv2.contourArea(cv2.convexHull(outline)))
    shared = float((view.probabilities * region).sum())
    either = float(view.probabilities.sum()) + area - shared
    return float(
        _CONTRAST * _contrast(lab, region, max(3, int(_RING * size)))
        + _NETWORK * shared / either
        + _OFF_CENTRE * np.hypot(down, across)
        + _SOLID * min(1.0, area / hull)
        + _AT_EDGE * edge / rim
        + _SIZE * size / SIDE
    )


def _eroded(region: Region) -> Region:
    """Without its outermost pixels; those at the image's edge are outermost, too."""
    return cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0


def _contrast(lab: np.ndarray, region: Region, width: int) -> float:
    """1 if no colour of the region occurs in the ring around it; 0 if both have the same."""
    shifted = lab + np.array([0, 128, 128], np.float32)
    scaled = shifted / np.array([100 * _LIGHTNESS + 1, 256, 256]) * _RING_BINS
    bins = scaled.astype(int) @ np.array([_RING_BINS[1] * _RING_BINS[2], _RING_BINS[2], 1])
    ring = grown(region, width) & ~region
    inside, around = (
        np.bincount(bins[part], minlength=int(np.prod(_RING_BINS))) / max(1, part.sum())
        for part in (region, ring)
    )
    return 1 - float(np.sqrt(inside * around).sum())
