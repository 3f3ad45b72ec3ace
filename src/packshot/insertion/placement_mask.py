"""The mask of a placement: read as it was meant, and refused where that cannot be known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from packshot.errors import InsertionError
from packshot.images import masks
from packshot.insertion.background import Background, Box, Colours

_EDGE = 0.75
"""Of the picture's edge, what is white of a mask that is inverted; a product reaches few of its sides."""
_LEAST_BLACK = 0.001
_MOST = 0.9
"""Of the picture, the most that a product may cover: around it must be ground."""
_MUCH, _SOFT = 0.5, 0.1
_SPECK = 0.01
"""Of the largest white part: smaller ones are slips of the brush."""
_NEAR = 0.05
"""Of the largest part's longer side: parts that lie so near to each other are one product."""
_HOW = {
    "opaque": "the mask {name} is transparent in places: what is opaque in it marks the place",
    "hole": "the mask {name} has a transparent hole, as ComfyUI saves masks: the hole marks the place",
}


def read_placement_mask(background: Background, path: Path) -> tuple[Colours, Box, tuple[str, ...]]:
    """A mask of the background's size [height, width] in [0, 1], the box of its place, and notes.

    The notes say what was taken for the place where that is not plain.

    Raises:
        InsertionError: it has other proportions than the background, is a photo, or marks nothing,
            everything, all but the middle, or several places.
        ImageRejectedError: it is not an image.
    """
    drawn, size = masks.read_drawn(path), (background.width, background.height)
    notes = [_HOW[drawn.by].format(name=path.name)] if drawn.by in _HOW else []
    if not masks.has_shape(drawn.image.size, size):
        raise InsertionError(
            f"The mask {path.name} is {drawn.image.width} x {drawn.image.height} px, the background "
            f"{background.name} {size[0]} x {size[1]}. Paint it over the background itself."
        )
    grey: Colours = np.asarray(masks.resized(drawn.image, size), dtype=np.float32) / 255
    _refuse_unclear(path.name, grey)
    grey, box, more = _one_place(path.name, grey)
    covered = float((grey > 0.5).mean())
    if covered > _MUCH:
        more.append(f"the mask {path.name} covers {covered:.0%} of the picture")
    return grey, box, (*notes, *more)


def _refuse_unclear(name: str, grey: Colours) -> None:
    white = grey > 0.5
    if not white.any():
        faint = f" (its brightest part is {grey.max():.0%} white)" if grey.any() else ""
        raise InsertionError(
            f"The mask {name} is empty{faint}: paint white where the product goes."
        )
    if ((grey > _SOFT) & (grey < 1 - _SOFT)).mean() > _MUCH:
        raise InsertionError(
            f"The mask {name} looks like a photo: most of it is neither black nor white. Paint white "
            "where the product goes, and black elsewhere."
        )
    covered = float(white.mean())
    edge = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    if edge.mean() > _EDGE and covered <= 1 - _LEAST_BLACK:
        raise InsertionError(
            f"The mask {name} is white all around and black within, so it looks inverted. Paint white "
            "where the product goes, and black elsewhere."
        )
    if covered > _MOST:
        raise InsertionError(
            f"The mask {name} covers {covered:.0%} of the picture. Paint only the place of the product "
            "white, and leave ground around it."
        )


def _one_place(name: str, grey: Colours) -> tuple[Colours, Box, list[str]]:
    """The mask without specks, and the box of what is left; it must be one place."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((grey > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = [1 + int(index) for index in np.flatnonzero(areas >= _SPECK * areas.max())]
    notes = []
    if specks := count - 1 - len(large):
        dots = int(areas.sum() - stats[large, cv2.CC_STAT_AREA].sum())
        notes.append(
            f"{specks} stray {'dot' if specks == 1 else 'dots'} ({dots} px) in the mask {name} "
            f"{'was' if specks == 1 else 'were'} left out"
        )
        grey = np.where(np.isin(labels, [0, *large]), grey, 0).astype(np.float32)
    boxes = [_box(stats[label]) for label in large]
    if _groups(np.isin(labels, large), max(max(box.width, box.height) for box in boxes)) > 1:
        places = " and ".join(f"{b.width} x {b.height} px at {b.left},{b.top}" for b in boxes[:4])
        raise InsertionError(
            f"The mask {name} shows {len(boxes)} places: {places}. The product goes into one: leave "
            "only that one white, or join them."
        )
    if len(boxes) > 1:
        notes.append(f"the {len(boxes)} parts of the mask {name} lie close together: one place")
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return grey, Box(left, top, right - left, bottom - top), notes


def _box(row: np.ndarray) -> Box:
    left, top, width, height = (int(number) for number in row[:4])
    return Box(left, top, width, height)


def _groups(white: np.ndarray, longest: int) -> int:
    """How many places there are, of parts that lie near to each other one."""
    reach = max(1, round(_NEAR * longest / 2))
    away = cv2.distanceTransform((~white).astype(np.uint8), cv2.DIST_L2, 5)
    return cv2.connectedComponents((away <= reach).astype(np.uint8))[0] - 1
