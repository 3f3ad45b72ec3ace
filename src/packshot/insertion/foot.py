"""How the product stands: the line on which it touches the ground, and its depth there.

Seen from above, what stands on the ground ends below in a curve: the near half of a cup's foot is half
an ellipse. What hangs (a spout, a handle, the body between wheels) ends higher than any foot can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from packshot.insertion.background import Colours

_ROUGH = 0.03
"""Of the product's height: what a silhouette's lower edge may err by."""
_LEAST_SLOPE, _MOST_SLOPE = 0.25, 1.2
"""A product's photo looks down on it by 14 degrees at least, even where the background does not."""
_MOST_RISE = 0.3
"""Of the product's height."""
_ROOM = 1.5
"""How much higher than a round foot's sides others may rise: a box's that is seen over its corner."""
_ROUNDS = 8
_THICKNESS = 0.7
"""How deep a product is that is seen from the front, as a share of its lesser side."""
_DEPTHS = (0.4, 1.3)
"""The least and the most depth, in widths of the foot."""
_SIDE = 0.75
"""Of half the foot's width from its middle: where its curve tells how deep it is."""
_HANGING = 0.15
"""Of the foot's depth: how deep a spout or a handle is."""


@dataclass(frozen=True)
class Foot:
    """Where each column of a silhouette stands.

    Attributes:
        touches: whether it touches the ground, [width].
        rise: how far over the silhouette's lowest row its foot is seen, in pixels, [width]: its own
            where it touches, between those of its neighbours where it hangs.
        near, far: the ground that it covers, in pixels of the foot's width beyond the nearest point
            of the foot, [width].
    """

    touches: np.ndarray
    rise: Colours
    near: Colours
    far: Colours

    @property
    def width(self) -> int:
        """From the first to the last column that touches, in pixels; at least 1."""
        columns = np.flatnonzero(self.touches)
        return int(np.ptp(columns)) + 1 if len(columns) else 1


def foot_of(alpha: Colours, slope: float) -> Foot:
    """The foot of a silhouette [height, width] in [0, 1] that fills its box.

    Args:
        slope: how many pixels up the picture ground of one pixel's width and depth is: the tangent
            of the angle at which the camera looks down on it.
    """
    slope = float(np.clip(slope, _LEAST_SLOPE, _MOST_SLOPE))
    height, width = alpha.shape
    inside = alpha > 0.5
    is_there = inside.any(axis=0)
    lowest = np.where(is_there, height - inside[::-1].argmax(axis=0), 0)
    rise = (lowest.max() - lowest).astype(np.float32)
    rough = max(1.5, _ROUGH * height)
    stands = is_there & (rise <= rough)
    for _ in range(_ROUNDS):  # a wider foot rises higher at its sides, and so shows more of itself
        columns = np.flatnonzero(stands)
        half = max((np.ptp(columns) + 1) / 2 if len(columns) else 0.0, width / 4)
        limit = max(rough, min(_MOST_RISE * height, _ROOM * half * slope))
        stands = is_there & (rise <= limit)
    columns = np.flatnonzero(stands)
    if not len(columns):
        flat = np.zeros(width, np.float32)
        return Foot(np.zeros(width, bool), flat, flat, flat + _THICKNESS * min(alpha.shape))
    line = lower_hull(lowest, columns)
    touches = _feet(stands & (lowest >= line - rough), np.where(is_there, rise, np.inf), rough)
    across = np.arange(width)
    curve = np.interp(across, np.flatnonzero(touches), rise[touches]).astype(np.float32)
    near, far = _depths(curve, touches, min(alpha.shape), slope)
    return Foot(touches, curve, near, far)


def _feet(touches: np.ndarray, rise: np.ndarray, rough: float) -> np.ndarray:
    """Without runs of columns that neither reach the lowest rows nor end below both neighbours.

    A car's far wheel does; the lower corner of its body, which nothing reaches further out, does not.
    """
    kept = touches.copy()
    edges = np.flatnonzero(np.diff(np.pad(touches.astype(np.int8), 1)))
    reach = max(2, round(2 * rough))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        lowest = rise[first:end].min()
        beside = rise[max(0, first - reach) : first], rise[end : end + reach]
        is_foot = all(
            side.max(initial=0 if side.size else np.inf) > lowest + rough for side in beside
        )
        kept[first:end] = lowest <= rough or is_foot
    return kept


def _depths(
    curve: Colours, touches: np.ndarray, lesser: int, slope: float
) -> tuple[Colours, Colours]:
    """The near and far edge of the ground that each column covers: the far edge mirrors the near one."""
    columns = np.flatnonzero(touches)
    first, last = columns[0], columns[-1]
    foot_width = float(last - first + 1)
    near = curve / slope
    # Measured inside of its ends, where wheels and round edges rise, too.
    sides = (first + last) / 2 + np.array([-_SIDE, _SIDE]) * foot_width / 2
    there = float(np.interp(sides, np.arange(len(curve)), near).mean())
    deepest = 2 * there / (1 - math.sqrt(1 - _SIDE**2))
    flat = (
        deepest < 0.25 * foot_width
    )  # seen from the front, or too nearly so for its depth to show
    depth = max(_THICKNESS * lesser, deepest) if flat else deepest
    least, most = (share * foot_width for share in _DEPTHS)
    depth = float(np.clip(depth, min(least, _THICKNESS * lesser), most))
    near = np.minimum(near, depth / 2)
    beside = np.maximum(first - np.arange(len(curve)), np.arange(len(curve)) - last).clip(0)
    # What hangs beside a round foot is no deeper than the foot's end; beside a flat one it goes on.
    own = depth / 2 - near
    end = np.where(np.arange(len(curve)) < first, own[first], own[last])
    chord = np.sqrt((1 - (beside / (foot_width / 2)) ** 2).clip(0))
    half = np.where(beside > 0, np.maximum(chord * end, _HANGING * depth / 2), own)
    near, far = (depth / 2 - half).clip(0), depth / 2 + half
    return near.astype(np.float32), far.astype(np.float32)


def lower_hull(lowest: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The lower side of the convex hull of these columns' lowest rows, per column; 0 beyond them.

    (The chain of Andrew 1979.)
    """
    hull: list[int] = []
    for column in columns:
        while len(hull) > 1 and _turns_down(lowest, hull[-2], hull[-1], int(column)):
            hull.pop()
        hull.append(int(column))
    return np.interp(np.arange(len(lowest)), hull, lowest[hull], left=0, right=0)


def _turns_down(lowest: np.ndarray, first: int, middle: int, last: int) -> bool:
    """Whether the middle column's lowest row lies on or above the line between the others'."""
    share = (middle - first) / (last - first)
    return bool(lowest[middle] <= lowest[first] + share * (lowest[last] - lowest[first]))
