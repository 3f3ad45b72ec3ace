"""The shadows that a background has already: how dark and how soft they are.

A cast shadow is a part of the ground that is darker than lit ground beside it, in about its colour:
the sun's light is gone, and the sky's stays. Where shade lies is told by the light's network; how
dark it is and how its edge falls off is measured in the picture itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from packshot.insertion.background import Colours

_SHADE = 0.6
_LIT = 0.25
_NEAR = 0.05
"""How far lit ground may be from the shade that is compared with it, as a share of the width."""
_LEAST_AREA = 0.002
"""Of the picture: less shade tells nothing."""
_DENSITIES = 0.08, 0.7
"""Least and largest density of a shadow that is believed: what is darker is dark of its own."""
_WIDEST_EDGE = 1 / 24
"""Of the picture's width: narrower shade is all edge, as far as one knows where it lies."""
_COLOUR = 0.35
"""Largest difference of the logarithms of red and blue over green between shade and lit ground."""
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ExistingShadows:
    """What the shadows on a background's ground are like.

    Attributes:
        density: how much darker than lit ground they are, 0 to 1, in sRGB values.
        softness: the width of their edges as a share of their own width, 0 (sharp) to 1; None where
            they are too narrow to tell.
        area: their share of the picture.
    """

    density: float
    softness: float | None
    area: float


def measure_shadows(colours: Colours, ground: Floats, shade: Floats) -> ExistingShadows | None:
    """Measure the shadows of a picture; None where none can be told from dark ground.

    Args:
        colours: sRGB [height, width, 3], a few hundred pixels wide.
        ground: probability of level ground, of any height and width.
        shade: probability that the ground is in cast shade, likewise.
    """
    height, width = colours.shape[:2]
    size = width, height
    level, dark = (cv2.resize(np.float32(each), size) for each in (ground, shade))
    own, lit = (level > 0.5) & (dark > _SHADE), (level > 0.5) & (dark < _LIT)
    reach = max(2.0, _NEAR * width)
    beside, share = _mean_of(colours, lit, reach)
    own &= share > 0.05
    area = float(own.mean())
    if area < _LEAST_AREA:
        return None
    ratio = (cv2.GaussianBlur(np.float32(colours), (0, 0), 0.7) + 0.01) / (beside + 0.01)
    darkness = 1 - ratio.mean(axis=2)
    density = float(np.median(darkness[own]))
    if not _DENSITIES[0] < density < _DENSITIES[1] or _differs(ratio[own]):
        return None
    return ExistingShadows(density, _softness(own, darkness, density), area)


def _mean_of(colours: Colours, where: Mask, reach: float) -> tuple[Colours, Floats]:
    """The mean colours [h, w, 3] of such pixels around each pixel, and their share there [h, w]."""
    weight = where.astype(np.float32)
    share = cv2.GaussianBlur(weight, (0, 0), reach)
    total = cv2.GaussianBlur(np.float32(colours) * weight[..., None], (0, 0), reach)
    return total / np.maximum(share, 1e-4)[..., None], share


def _differs(ratio: Colours) -> bool:
    """Whether the shade [N, 3], over lit ground, has another colour than shade can have."""
    red, green, blue = np.log(np.median(ratio, axis=0).clip(0.01))
    return max(abs(red - green), abs(blue - green)) > _COLOUR


def _softness(own: Mask, darkness: Floats, density: float) -> float | None:
    """The width of the edges over the shadows' own; None for narrow shadows.

    The edges' is three times that from a third of the darkness to two thirds of it. A strip that is w
    wide has an area of w / 2 for each pixel of its rim.
    """
    inside = own.astype(np.uint8)
    rim = int((inside - cv2.erode(inside, np.ones((3, 3), np.uint8))).sum())
    wide = 2 * float(inside.sum()) / max(rim, 1)
    if wide < _WIDEST_EDGE * own.shape[1]:
        return None
    near = cv2.dilate(inside, np.ones((7, 7), np.uint8)) > 0
    edge = near & (darkness > density / 3) & (darkness < 2 * density / 3)
    outline = near & (cv2.morphologyEx(
        (darkness > density / 2).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)
    ) > 0)  # fmt: skip
    # Of an edge between two steps the gradient is two pixels wide.
    return float(np.clip(3 * edge.sum() / max(outline.sum() / 2, 1) / max(wide, 1), 0, 1))
