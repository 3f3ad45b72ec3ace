"""Prompts for Segment Anything: a box, and points on the product, from a first guess."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_POINTS = 3
_SURE = 0.5
_MARGIN = 0.03
"""Of the box's sides: better a little around the product than a part of it outside."""


@dataclass(frozen=True)
class Prompt:
    """A box and points on the product, relative to the image's width and height.

    Attributes:
        points: [N, 2], x and y, each well within the product; the most certain first.
        box: [4], left, upper, right, lower.
    """

    points: np.ndarray
    box: np.ndarray


def prompt_of(probabilities: np.ndarray) -> Prompt | None:
    """The prompt from a first guess [h, w] in [0, 1]; None if the guess is empty.

    The box is around the largest part; the points are far from its edge, certain, and apart.
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (probabilities > _SURE).astype(np.uint8)
    )
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    inside = np.where(parts == largest, probabilities, 0).astype(np.float32)
    left, upper, width, height = (int(value) for value in stats[largest, :4])
    margin = np.array([width, height]) * _MARGIN
    corners = np.array([[left, upper], [left + width, upper + height]], np.float32)
    corners += np.array([-margin, margin])
    full = np.array([probabilities.shape[1], probabilities.shape[0]], np.float32)
    return Prompt(_surest(inside) / full, (corners / full).clip(0, 1).reshape(4))


def _surest(inside: np.ndarray) -> np.ndarray:
    """Centres [N, 2] of pixels that are far from the edge and have high `inside` [h, w]."""
    # A border, for what the picture's edge cuts ends there.
    room = cv2.distanceTransform(np.pad((inside > 0).astype(np.uint8), 1), cv2.DIST_L2, 5)[
        1:-1, 1:-1
    ]
    worth = room * inside
    points: list[tuple[float, float]] = []
    while len(points) < _POINTS and worth.max() > 0:
        y, x = np.unravel_index(int(worth.argmax()), worth.shape)
        points.append((float(x) + 0.5, float(y) + 0.5))
        cv2.circle(worth, (int(x), int(y)), max(1, round(float(room[y, x]))), 0.0, -1)
    return np.array(points, np.float32)
