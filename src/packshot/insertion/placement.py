"""Placements: where the product goes in the background, and its size there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from packshot.errors import InsertionError
from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.placement_mask import read_placement_mask

CAMERA_HEIGHT_METRES = 1.6
"""How high a camera is held, if nothing else is known."""
_ACROSS = {"left": 0.25, "centre": 0.5, "center": 0.5, "middle": 0.5, "right": 0.75}
_AWAY = {
    "near": 0.85,
    "front": 0.85,
    "foreground": 0.85,
    "far": 0.35,
    "back": 0.35,
    "background": 0.35,
}
_MIN_SIDE = 16
_PARALLEL = 0.04
"""Sine of the angle below which sides drawn by hand are parallel in the picture, and meet nowhere."""


@dataclass(frozen=True)
class Placement:
    """The product's box in the background: it fits inside and stands on the lower edge.

    `mask` [height, width] of the box, if any, is the product's wanted silhouette; `horizon`, known
    from a quad on the ground, is in pixels from the background's top; `notes` say how a mask was
    understood, where that is not plain; `front` is the opacity of what stands before the product,
    [height, width] of the background.
    """

    box: Box
    mask: Colours | None = None
    horizon: float | None = None
    notes: tuple[str, ...] = ()
    front: Colours | None = None


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
    background: Background,
    words: str,
    aspect: float,
    horizon: float,
    product_height_metres: float,
    camera_height_metres: float = CAMERA_HEIGHT_METRES,
) -> Placement:
    """A placement from words: left, centre, right; near, far.

    Its size follows from the ground plane (single-view metrology): an object that stands y pixels
    below the horizon and is as tall as the camera is high spans y pixels.

    Args:
        aspect: the product's width divided by its height.
        horizon: pixels from the background's top; the camera is level.
        product_height_metres: the product's height.
        camera_height_metres: the camera's height over the ground that the product stands on.

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
    share = away[0] if away else 0.6
    foot = horizon + (background.height - horizon) * share
    height = (foot - horizon) * product_height_metres / camera_height_metres
    width = height * aspect
    # As near as it can be and still fit.
    fit = min(1.0, 0.9 * background.width / width, 0.95 * foot / height)
    height, width = height * fit, width * fit
    left = np.clip(
        background.width * (across[0] if across else 0.5) - width / 2, 0, background.width - width
    )
    box = Box(int(left), int(foot - height), int(width), int(height))
    return Placement(checked(background, box))


def suggest(
    background: Background,
    aspect: float,
    horizon: float,
    product_height_metres: float,
    camera_height_metres: float = CAMERA_HEIGHT_METRES,
) -> list[tuple[str, Placement]]:
    """Suggested placements with their words, those with the least detail in the ground first."""
    small, scale = background.whole(512)
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    places: list[tuple[float, str, Placement]] = []
    for away in ("near", "far"):
        for across in ("left", "centre", "right"):
            words = f"{across}, {away}"
            try:
                placement = at_words(
                    background, words, aspect, horizon, product_height_metres, camera_height_metres
                )
            except InsertionError:
                continue
            box = placement.box
            rows = slice(
                int(box.top * scale), max(int(box.bottom * scale), int(box.top * scale) + 1)
            )
            columns = slice(
                int(box.left * scale), max(int(box.right * scale), int(box.left * scale) + 1)
            )
            places.append((float(edges[rows, columns].mean()), words, placement))
    return [(words, placement) for _, words, placement in sorted(places, key=lambda one: one[0])]


def horizon_of(background: Background) -> float | None:
    """The horizon in pixels from the top, by vanishing points of lines; None if there are none.

    Pairs of lines that are not upright vote for their intersection (LSD: von Gioi et al. 2012); a
    level camera's horizon is the height with the most votes.
    """
    small, scale = background.whole(640)
    grey = (cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) * 255).astype(np.uint8)
    lines = cv2.createLineSegmentDetector().detect(grey)[0]
    if lines is None:
        return None
    ends = np.asarray(lines, np.float64).reshape(-1, 4)
    run, rise = ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]
    lengths = np.hypot(run, rise)
    slanted = (
        (np.abs(rise) > 0.08 * np.abs(run)) & (np.abs(run) > 0.35 * np.abs(rise)) & (lengths > 24)
    )
    ends, lengths = ends[slanted], lengths[slanted]
    order = np.argsort(-lengths)[:80]
    ends, lengths = ends[order], lengths[order]
    if len(ends) < 6:
        return None
    slopes = (ends[:, 3] - ends[:, 1]) / (ends[:, 2] - ends[:, 0])
    offsets = ends[:, 1] - slopes * ends[:, 0]
    first, second = np.triu_indices(len(ends), 1)
    apart = slopes[first] - slopes[second]
    kept = np.abs(apart) > 0.15
    x = (offsets[second] - offsets[first])[kept] / apart[kept]
    y = slopes[first][kept] * x + offsets[first][kept]
    votes = (lengths[first] * lengths[second])[kept]
    height, width = grey.shape
    inside = (y > -0.2 * height) & (y < 0.9 * height) & (np.abs(x - width / 2) < 3 * width)
    if inside.sum() < 10:
        return None
    counts, edges = np.histogram(
        y[inside], bins=48, range=(-0.2 * height, 0.9 * height), weights=votes[inside]
    )
    smooth = np.convolve(counts, [0.25, 0.5, 1, 0.5, 0.25], "same")
    best = int(smooth.argmax())
    if smooth[best] < 2.5 * np.median(smooth[smooth > 0]):
        return None
    return float((edges[best] + edges[best + 1]) / 2 / scale)
