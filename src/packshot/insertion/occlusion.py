"""What stands before the product: the part of the background that hides it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from packshot.errors import InsertionError
from packshot.images import masks
from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.placement import Placement
from packshot.masks import Segmenter
from packshot.masks.registry import load_segmenter

AUTO = "auto"
_HOW = {
    "opaque": "the mask {name} is transparent in places: what is opaque in it stands before the product",
    "hole": "the mask {name} has a transparent hole: what the hole shows stands before the product",
}
_PHOTO = 0.5
"""Of a mask, the most that may be neither black nor white."""
_SOFT = 3
"""Pixels: an edge that is drawn wider than that is left as it is drawn."""
_ABOUT = 0.75
"""Of the place's longer side: how far around it something is looked for."""
_LOWER = 0.03
"""Of the place's height: how much lower than the product what stands before it must stand."""
_HIDES = 0.02
"""Of the place, the least that is worth hiding."""
_HIDES_MOST = 0.75
"""Of the place: who wants a product there wants to see some of it."""
_MOST = 0.6
"""Of what was looked at: more is ground, not a thing."""
_AGREED = 0.7
"""IoU of what was found with what its colours say: less is a guess."""
_RIM = 0.004
"""Of the background's longer side: the width of a found or hard-drawn edge."""


def with_front(
    placement: Placement, background: Background, behind: str | None,
    segmenter: Segmenter | None = None,
) -> Placement:  # fmt: skip
    """The placement, with what stands before it.

    Args:
        behind: a mask's file, "auto" to look for it, or None.
        segmenter: for "auto"; by default the best one available.

    Raises:
        InsertionError: the mask has other proportions, is empty, or a photo.
        ImageRejectedError: it is not an image.
    """
    if behind is None:
        return placement
    if behind == AUTO:
        front = find_front(background, placement.box, segmenter or load_segmenter())
        found = "a thing was found that stands before the product: look at the sheet"
        none = "nothing was found that stands before the product: give its mask with --behind FILE"
        notes: tuple[str, ...] = (none if front is None else found,)
    else:
        front, notes = read_front(background, Path(behind))
    return replace(placement, front=front, notes=(*placement.notes, *notes))


def read_front(background: Background, path: Path) -> tuple[Colours, tuple[str, ...]]:
    """A mask of what stands before the product: opacity [height, width] of the background, and notes.

    Raises:
        InsertionError, ImageRejectedError: as `with_front`.
    """
    drawn, size = masks.read_drawn(path), (background.width, background.height)
    if not masks.has_shape(drawn.image.size, size):
        raise InsertionError(
            f"The mask {path.name} is {drawn.image.width} x {drawn.image.height} px, the background "
            f"{background.name} {size[0]} x {size[1]}. Paint it over the background itself."
        )
    grey = np.asarray(masks.resized(drawn.image, size), dtype=np.float32) / 255
    if not (grey > 0.5).any():
        raise InsertionError(
            f"The mask {path.name} is empty: paint white what stands before the product."
        )
    drawn_grey = np.asarray(drawn.image, dtype=np.float32) / 255
    between = float(((drawn_grey > 0.1) & (drawn_grey < 0.9)).mean())
    if between > _PHOTO:
        raise InsertionError(
            f"The mask {path.name} looks like a photo: most of it is neither black nor white. Paint "
            "white what stands before the product, and black elsewhere."
        )
    notes = (_HOW[drawn.by].format(name=path.name),) if drawn.by in _HOW else ()
    white = (drawn_grey > 0.5).astype(np.uint8)
    rim = int(white.sum()) - int(cv2.erode(white, np.ones((3, 3), np.uint8)).sum())
    is_soft = between * white.size > _SOFT * rim
    return (grey if is_soft else softened(grey > 0.5, background, background.all)), notes


def find_front(background: Background, box: Box, segmenter: Segmenter) -> Colours | None:
    """The opacity [height, width] of a thing that overlaps a place and stands nearer than it.

    Nearer is what stands lower in the picture. None if the segmenter finds no such thing, if its
    colours do not bear out its outline, or if it would hide nearly all of the place.
    """
    reach = round(_ABOUT * max(box.width, box.height))
    left, top = max(0, box.left - reach), max(0, box.top - reach)
    right, bottom = (
        min(background.width, box.right + reach), min(background.height, box.bottom + reach),
    )  # fmt: skip
    part = Box(left, top, right - left, bottom - top)
    colours = (background.colours(part) * 255).round().astype(np.uint8)
    seen = np.asarray(segmenter.mask(Image.fromarray(colours))) > 127
    place = Box(box.left - left, box.top - top, box.width, box.height)
    thing = _nearer(seen, place)
    if thing is None:
        return None
    outline = _by_colours(colours, thing)
    both, either = (thing & outline).sum(), (thing | outline).sum()
    if both < _AGREED * either or outline[place.region].mean() > _HIDES_MOST:
        return None
    front = np.zeros((background.height, background.width), np.float32)
    front[part.region] = softened(outline, background, part)
    return front


def _nearer(seen: np.ndarray, place: Box) -> np.ndarray | None:
    """The parts of a mask that overlap a place and stand lower than it; None if there are none."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(seen.astype(np.uint8))
    overlaps = np.bincount(labels[place.region].ravel(), minlength=len(stats))
    ends = stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT]
    is_ground = stats[:, cv2.CC_STAT_WIDTH] == seen.shape[1]  # from side to side
    fits = (
        (overlaps >= _HIDES * place.width * place.height)
        & (ends >= place.bottom + _LOWER * place.height)
        & (stats[:, cv2.CC_STAT_AREA] <= _MOST * seen.size)
        & ~is_ground
    )
    fits[0] = False  # what is no part
    return np.isin(labels, np.flatnonzero(fits)) if fits.any() else None


def _by_colours(colours: np.ndarray, thing: np.ndarray) -> np.ndarray:
    """The thing by its colours near its outline (GrabCut: Rother et al. 2004), at most 512 px."""
    scale = min(1.0, 512 / max(thing.shape))
    size = max(1, round(thing.shape[1] * scale)), max(1, round(thing.shape[0] * scale))
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(thing.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    band = np.ones((max(3, round(0.04 * size[0])),) * 2, np.uint8)
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(inside, band) > 0] = cv2.GC_FGD
    labels[cv2.dilate(inside, band) == 0] = cv2.GC_BGD
    if not {int(cv2.GC_FGD), int(cv2.GC_BGD)} <= set(np.unique(labels).tolist()):
        return thing
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, None, *models, 3, cv2.GC_INIT_WITH_MASK)
    known = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    return np.asarray(cv2.resize(known, thing.shape[::-1]) > 0.5)


def softened(inside: np.ndarray, background: Background, part: Box) -> Colours:
    """A hard mask with an edge as soft as the picture's own: 1 within, 0 without.

    (Guided filter: He et al. 2013, https://doi.org/10.1109/TPAMI.2012.213.)
    """
    radius = max(1, round(_RIM * max(background.width, background.height)))
    grey = cv2.cvtColor(background.colours(part).astype(np.float32), cv2.COLOR_RGB2GRAY)
    mask = inside.astype(np.float32)

    def mean(values: Colours) -> Colours:
        return np.asarray(cv2.blur(values, (2 * radius + 1, 2 * radius + 1)))

    slope = (mean(grey * mask) - mean(grey) * mean(mask)) / (
        mean(grey * grey) - mean(grey) ** 2 + 1e-4
    )
    guided = (mean(slope) * grey + mean(mean(mask) - slope * mean(grey))).clip(0, 1)
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    surely, maybe = cv2.erode(mask, kernel), cv2.dilate(mask, kernel)
    return np.where(surely > 0, 1, np.where(maybe > 0, guided, 0)).astype(np.float32)
