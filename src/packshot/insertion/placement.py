"""Placements: where the product goes in the background, and its size there."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from packshot.errors import InsertionError
from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.camera import Camera
from packshot.insertion.placement_mask import read_placement_mask

MIDDLE = 0.6
"""How near the middle of the ground is, from 0 far away to 1 at the picture's lower edge."""

_ACROSS = {"left": 0.25, "centre": 0.5, "center": 0.5, "middle": 0.5, "right": 0.75}
_AWAY = {
    "near": 0.85,
    "front": 0.85,
    "foreground": 0.85,
    "far": 0.35,
    "back": 0.35,
    "background": 0.35,
}
_THICKNESS = 0.7
"""How deep a product is, as a share of its lesser side."""
_NEAREST = 0.97
"""Of the picture's height: no foot is placed lower."""
_TALLEST = 10
"""In picture heights: a product that reaches over the camera has no end in the picture."""
_MIN_SIDE = 16
_NOTED = 0.97
_SHRUNK = (
    "at its true size the product would not fit there: it is made {fit:.0%} of that; look at its "
    "scale (--tall, --known)"
)
_PARALLEL = 0.04
"""Sine of the angle below which sides drawn by hand are parallel in the picture, and meet nowhere."""


@dataclass(frozen=True)
class Placement:
    """The product's box in the background: it fits inside and stands on the lower edge.

    `mask` [height, width] of the box, if any, is the product's wanted silhouette; `horizon`, known
    from a quad on the ground, is in pixels from the background's top; `notes` say how a mask was
    understood, where that is not plain; `front` is the opacity of what stands before the product,
    [height, width] of the background; `by_horizon` says that its size follows from the horizon.
    """

    box: Box
    mask: Colours | None = None
    horizon: float | None = None
    notes: tuple[str, ...] = ()
    front: Colours | None = None
    by_horizon: bool = False


def in_box(background: Background, numbers: str) -> Placement:
    """A placement from "x,y,w,h" in pixels of the upright background.

    Raises:
        InsertionError: not four whole numbers, too small, or not inside the background.
    """
    values = _whole_numbers(numbers, 4)
    if not values:
        raise InsertionError(
            f'The box "{numbers}" is not four whole numbers: left, top, width, height in pixels, '
            'such as "120,300,400,260".'
        )
    return Placement(checked(background, Box(*values)))


def _whole_numbers(text: str, count: int) -> list[int] | None:
    """Parses `count` whole numbers separated by commas; None if the text is something else."""
    parts = [part.strip() for part in text.split(",")]
    fits = len(parts) == count and all(re.fullmatch(r"-?\d{1,6}", part) for part in parts)
    return [int(part) for part in parts] if fits else None


def on_quad(background: Background, numbers: str, aspect: float) -> Placement:
    """A placement from the four corners, in order, of the patch of ground that the product covers.

    It stands on the patch's nearest corner and is as wide as the patch. The opposite sides, parallel
    on the ground, meet on the horizon (Hartley and Zisserman 2003, section 8.6).

    Args:
        numbers: "x1,y1,x2,y2,x3,y3,x4,y4" in pixels of the upright background.
        aspect: the product's width divided by its height.

    Raises:
        InsertionError: not eight whole numbers, no convex patch seen from above, or no room for
            the product over it.
    """
    values = _whole_numbers(numbers, 8)
    if not values:
        raise InsertionError(
            f'The quad "{numbers}" is not eight whole numbers: x,y of four corners in order, such as '
            '"100,420,380,420,330,360,140,360".'
        )
    corners = np.array(values, np.float64).reshape(4, 2)
    if not _is_convex(corners):
        raise InsertionError(
            f'The quad "{numbers}" crosses or folds into itself: give its corners in order around it.'
        )
    horizon = _meeting_height(corners)
    if horizon is not None and horizon >= corners[:, 1].min():
        raise InsertionError(
            f'The quad "{numbers}" narrows towards the camera, so it does not lie on the ground.'
        )
    (left, _), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    height = (right - left) / aspect
    box = Box(int(left), round(bottom - height), int(right - left), round(height))
    return Placement(checked(background, box), horizon=horizon)


def _is_convex(corners: np.ndarray) -> bool:
    sides = np.roll(corners, -1, axis=0) - corners
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    return bool((turns > 0).all() or (turns < 0).all())


def _meeting_height(corners: np.ndarray) -> float | None:
    """The height at which opposite sides meet, averaged by certainty; None if no pair meets."""
    heights, weights = [], []
    for first in (0, 1):
        start, end, far_end, far_start = np.roll(corners, -first, axis=0)
        one, other = end - start, far_end - far_start
        turn = one[0] * other[1] - one[1] * other[0]
        sine = abs(turn) / (np.hypot(*one) * np.hypot(*other))
        if sine > _PARALLEL:
            apart = far_start - start
            along = (apart[0] * other[1] - apart[1] * other[0]) / turn
            heights.append(start[1] + along * one[1])
            weights.append(sine)
    return float(np.average(heights, weights=weights)) if heights else None


def checked(background: Background, box: Box) -> Box:
    """The box, validated to lie in the background.

    Raises:
        InsertionError: too small, or not inside the background.
    """
    if min(box.width, box.height) < _MIN_SIDE:
        raise InsertionError(
            f"The place for the product is {box.width} x {box.height} px; it needs at least "
            f"{_MIN_SIDE} px each way."
        )
    if (
        box.left < 0
        or box.top < 0
        or box.right > background.width
        or box.bottom > background.height
    ):
        raise InsertionError(
            f"The place for the product reaches from {box.left},{box.top} to {box.right},{box.bottom}, "
            f"but {background.name} is {background.width} x {background.height} px. Move it inside."
        )
    return box


def in_mask(background: Background, path: Path) -> Placement:
    """A placement from a mask of the background's size that marks where the product shall be.

    Raises:
        InsertionError, ImageRejectedError: as `read_placement_mask`.
    """
    grey, box, notes = read_placement_mask(background, path)
    return Placement(checked(background, box), grey[box.region], notes=notes)


def at_words(
    background: Background, words: str, aspect: float, camera: Camera, height: float
) -> Placement:
    """A placement from words: left, centre, right; near, far.

    Its size follows from the ground plane (single-view metrology).

    Args:
        aspect: the product's width divided by its height.
        camera: the background's.
        height: the product's height in camera heights.

    Raises:
        InsertionError: unknown words, or the background shows no ground there.
    """
    given = re.findall(r"[a-z]+", words.lower())
    across = [_ACROSS[word] for word in given if word in _ACROSS]
    away = [_AWAY[word] for word in given if word in _AWAY]
    if not across and not away:
        raise InsertionError(
            f'"{words}" says no place: use left, centre or right, and near or far; or give a box '
            "with --box x,y,w,h."
        )
    share, aside = away[0] if away else MIDDLE, across[0] if across else 0.5
    x, wanted = background.width * aside, camera.ground_row(share)

    def sized(foot: float) -> tuple[float, float]:
        tall = silhouette_height(camera, x, foot, height, aspect)
        return tall, min(1.0, 0.9 * background.width / (tall * aspect), 0.95 * max(foot, 1) / tall)

    # Where it would reach over the upper edge, it stands nearer if it fits there.
    feet = np.linspace(wanted, max(wanted, _NEAREST * background.height), 12)
    foot = next((float(foot) for foot in feet if sized(foot)[1] == 1), wanted)
    tall, fit = sized(foot)
    notes = (_SHRUNK.format(fit=fit),) if fit < _NOTED else ()
    tall, wide = tall * fit, tall * fit * aspect
    left = np.clip(x - wide / 2, 0, background.width - wide)
    box = Box(int(left), int(foot - tall), int(wide), int(tall))
    return Placement(checked(background, box), notes=notes, by_horizon=True)


def silhouette_height(camera: Camera, x: float, foot: float, height: float, aspect: float) -> float:
    """How many pixels tall a product is seen that stands with its foot at a pixel.

    Seen from above, its depth adds to its height.

    Args:
        height: the product's height in camera heights.
        aspect: its width divided by its height, as seen.
    """
    upright = min(camera.seen_height(x, foot, height), _TALLEST * camera.height)
    deep = _THICKNESS * math.sin(max(camera.below_horizon(x, foot), 0.0))
    if aspect < 1:  # as deep as a share of its width
        return upright / (1 - deep * aspect)
    return upright + deep * height * camera.pixels_per_height(x, foot)


def suggest(
    background: Background, aspect: float, camera: Camera, height: float
) -> list[tuple[str, Placement]]:
    """Suggested placements with their words, those with the least detail in the ground first.

    Args:
        aspect, camera, height: as for `at_words`.
    """
    small, scale = background.whole(512)
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    places: list[tuple[float, str, Placement]] = []
    for away in ("near", "far"):
        for across in ("left", "centre", "right"):
            words = f"{across}, {away}"
            try:
                placement = at_words(background, words, aspect, camera, height)
            except InsertionError:
                continue
            top, bottom, left, right = (
                int(side * scale)
                for side in (
                    placement.box.top, placement.box.bottom, placement.box.left, placement.box.right
                )
            )  # fmt: skip
            part = edges[top : max(bottom, top + 1), left : max(right, left + 1)]
            places.append((float(part.mean()), words, placement))
    return [(words, placement) for _, words, placement in sorted(places, key=lambda one: one[0])]
