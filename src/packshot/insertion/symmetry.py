"""How a silhouette leans, whether its sides are alike, and turning it upright."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import theilslopes

from packshot.insertion.background import Colours

_SYMMETRIC = 0.02
"""Of its width: how far the middles of a symmetric silhouette's rows lie off its axis."""
_COMPARED = 400
"""Longer side in pixels of a silhouette whose sides are compared."""
_RIM, _LEAST = 5, 1000
"""Pixels of that: what is thinner tells of its edge only; what is less than so many tells nothing."""
_MOST_LEAN = 15.0
"""Degrees: what leans more was laid."""


def lean_of(inside: np.ndarray) -> float | None:
    """Degrees that a symmetric silhouette leans clockwise; None if it has no such axis."""
    lean, mask = 0.0, inside.astype(np.float32)
    for _ in range(3):  # the corners of what leans are cut slantwise: it is set upright by and by
        more = _lean_of_rows(_upright(mask, -lean) > 0.5)
        if more is None:
            return None
        lean += more
    return lean


def _lean_of_rows(inside: np.ndarray) -> float | None:
    """As `lean_of`, of what leans little: the middles of its rows lie on its axis."""
    height, width = inside.shape
    rows, middles = _trunk(inside)
    if len(rows) < 16 or height < 0.5 * width:
        return None
    slope, base = np.polyfit(rows, middles, 1)
    off = np.abs(middles - (slope * rows + base))
    if np.quantile(off, 0.9) > _SYMMETRIC * width:
        return None
    return math.degrees(math.atan(-float(slope)))


def one_sided(inside: np.ndarray) -> float:
    """The largest connected part that one side of a silhouette [h, w] has and the other has not, of its area.

    Something stands before it there, or came along. Of photos of cans, candles and vases whose outlines
    were drawn by hand it is 0.005 at most where nothing hides them.
    """
    shape = _compared(inside) if inside.any() else inside
    if shape.sum() < _LEAST:
        return 0.0
    shape = _straightened(shape)
    middles = _middles(shape)[1]
    other = round(2 * float(np.median(middles))) - np.arange(shape.shape[1])
    within = (other >= 0) & (other < shape.shape[1])
    mirrored = shape[:, other.clip(0, shape.shape[1] - 1)] & within
    apart = (shape ^ mirrored).astype(np.uint8)
    solid = cv2.morphologyEx(
        apart, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_RIM, _RIM))
    )
    _, _, stats, _ = cv2.connectedComponentsWithStats(solid)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0) / shape.sum())


def _compared(inside: np.ndarray) -> np.ndarray:
    """The part that is not empty, at the size at which sides are compared."""
    part = _cropped(inside)
    scale = _COMPARED / max(part.shape)
    height, width = (max(1, round(side * scale)) for side in part.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part.astype(np.float32), (width, height), interpolation=way) > 0.5)


def _straightened(shape: np.ndarray) -> np.ndarray:
    """A silhouette turned so that its axis is upright, whatever a part of it does."""
    lean = 0.0
    for _ in range(3):
        rows, middles = _trunk(shape)
        if len(rows) < 16:
            break
        more = math.degrees(math.atan(-float(theilslopes(middles, rows)[0])))
        if abs(lean + more) > _MOST_LEAN:
            break
        lean += more
        shape = _upright(shape.astype(np.float32), -more) > 0.5
    return shape


def _middles(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are not empty, and their middles."""
    rows = np.flatnonzero(shape.any(axis=1))
    left = shape[rows].argmax(axis=1)
    right = shape.shape[1] - 1 - shape[rows][:, ::-1].argmax(axis=1)
    return rows, (left + right) / 2


def _trunk(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `_middles`, of the rows between its top and its foot."""
    rows, middles = _middles(shape)
    among = (rows > 0.08 * len(shape)) & (rows < 0.85 * len(shape))
    return rows[among], middles[among]


def _cropped(inside: np.ndarray) -> np.ndarray:
    return inside[inside.any(axis=1)][:, inside.any(axis=0)]


def turned(
    colours: Colours, alpha: Colours, degrees: float, margin: int = 0
) -> tuple[Colours, Colours]:
    """A cut-out turned clockwise and cropped to its box again: colours [h, w, 3] and alpha [h, w].

    Args:
        margin: pixels around its box on each side, before and after.
    """
    mask, (rows, columns), turn = _turned(np.pad(inner(alpha, margin), margin), degrees)
    part = tuple(slice(one.start - margin, one.stop + margin) for one in (rows, columns))
    size = mask.shape[::-1]
    shown = cv2.warpAffine(
        colours, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    opacity = cv2.warpAffine(alpha, turn, size, flags=cv2.INTER_LINEAR)
    return shown[part].clip(0, 1), opacity[part].clip(0, 1)


def inner(values: Colours, margin: int) -> Colours:
    """Values [h, w, ...] without a margin of so many pixels on each side."""
    return values[margin : len(values) - margin, margin : values.shape[1] - margin]


def _upright(alpha: Colours, degrees: float) -> Colours:
    mask, part, _ = _turned(alpha, degrees)
    return mask[part]


def _turned(
    alpha: Colours, degrees: float
) -> tuple[Colours, tuple[slice, slice], npt.NDArray[np.float64]]:
    """The whole turned mask, the part of it that is not empty, and the turn as a matrix [2, 3]."""
    height, width = alpha.shape
    diagonal = math.ceil(math.hypot(height, width)) + 2
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    turn[:, 2] += (diagonal - width) / 2, (diagonal - height) / 2
    mask = cv2.warpAffine(alpha, turn, (diagonal, diagonal), flags=cv2.INTER_LINEAR)
    rows, columns = (np.flatnonzero((mask > 0.5).any(axis=axis)) for axis in (1, 0))
    return mask, (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)), turn
