"""The product cut out of the photo that shows it most as it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from packshot.errors import InsertionError
from packshot.images import sidecars
from packshot.images.loading import open_image
from packshot.insertion.background import Box, Colours
from packshot.insertion.placement import Placement
from packshot.masks import Segmenter
from packshot.masks.registry import load_segmenter
from packshot.photos.photo_set import Photo

_MARGIN = 0.02
_FIT_ENOUGH = 0.97
_USUAL = 0.8


@dataclass(frozen=True)
class CutOut:
    """The product alone, its box and no more.

    Attributes:
        colours: [height, width, 3]; beside the product they go on as at its edge.
        alpha: its share of each pixel.
        beside: what surrounds it in its photo, [N, 3].
    """

    photo: Photo
    colours: Colours
    alpha: Colours
    beside: Colours

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.alpha.shape[1] / self.alpha.shape[0]


def cut_out(photo: Photo, segmenter: Segmenter | None = None) -> CutOut:
    """The product of one photo, by its mask, or by what a segmenter finds.

    Args:
        segmenter: by default the best that is found; give one to many calls.

    Raises:
        InsertionError: nothing is found.
        ImageRejectedError: the photo or its mask cannot be read.
    """
    image = open_image(photo.file)
    if photo.mask:
        mask = sidecars.read_mask(photo.mask, image.size)
    else:
        mask = (segmenter or load_segmenter()).mask(image)
    alpha = np.asarray(mask, dtype=np.float32) / 255
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise InsertionError(
            f"No product was found in {photo.file.name}; paint its mask: {sidecars.mask_place(photo.file)}"
        )
    part = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    colours = np.asarray(image, dtype=np.float32) / 255
    return CutOut(
        photo, _without_fringe(colours[part], alpha[part]), alpha[part], colours[alpha < 0.02]
    )


def best_photos(
    photos: Sequence[Photo],
    placement: Placement,
    view: str | None,
    segmenter: Segmenter | None = None,
) -> list[CutOut]:
    """Cut-outs of all photos, the fittest for a placement first.

    Only those whose caption names the view, if one is wanted, and only whole ones: a product that
    the photo's edge cuts cannot stand anywhere else. Then by shape, and only those near to the best,
    where a mask says what shape is wanted; else by detail, for the place is large or small. Those
    whose colours the others lack come later: their masks are likely to be wrong.

    Raises:
        InsertionError: no photo shows the product whole, or none shows that view.
    """
    found = []
    if segmenter is None and any(photo.mask is None for photo in photos):
        segmenter = load_segmenter()
    for photo in photos:
        try:
            found.append(cut_out(photo, segmenter))
        except InsertionError:
            continue
    whole = [one for one in found if not _touches_edge(one)]
    if view:
        whole = [one for one in whole if _shows(one.photo, view)]
    if not whole:
        what = f"as seen from the {view}" if view else "whole"
        raise InsertionError(
            f"No photo shows the product {what}. Add one, or name another view with --view."
        )
    typical = _typical(whole)
    fitness = {id(one): _fitness(one, placement) * typical[id(one)] for one in whole}
    least = _FIT_ENOUGH * max(fitness.values()) if placement.mask is not None else 0.0
    fit = [one for one in whole if fitness[id(one)] >= least]
    return sorted(fit, key=lambda one: -fitness[id(one)])


def _typical(cuts: Sequence[CutOut]) -> dict[int, float]:
    """1 for those whose colours the others have too, less for those that have others.

    A mask that took in what stands beside the product shows itself so. (Histogram intersection:
    Swain and Ballard 1991, https://doi.org/10.1007/BF00130487.) Sides of a product differ as well:
    only what is far below the median counts less.
    """
    histograms = []
    for cut in cuts:
        inside = (cut.colours[cut.alpha > 0.9].clip(0, 1) * 5.999).astype(int)
        counts = np.bincount(inside @ np.array([36, 6, 1]), minlength=216).astype(np.float64)
        histograms.append(counts / max(counts.sum(), 1))
    shared = np.array([[np.minimum(a, b).sum() for b in histograms] for a in histograms])
    others = max(len(cuts) - 1, 1)
    means = (shared.sum(axis=1) - 1) / others if len(cuts) > 1 else np.ones(1)
    usual = max(_USUAL * float(np.median(means)), 1e-6)
    return {id(cut): min(1.0, float(m) / usual) for cut, m in zip(cuts, means, strict=True)}


def _touches_edge(cut: CutOut) -> bool:
    """Whether much of it lies at the photo's own edge."""
    height, width = cut.alpha.shape
    full = cut.photo.width, cut.photo.height
    if width < full[0] and height < full[1]:
        return False
    sides = (
        (cut.alpha[:, 0], cut.alpha[:, -1]) if width == full[0] else (cut.alpha[0], cut.alpha[-1])
    )
    return any(float(side.mean()) > 0.2 for side in sides)


def _shows(photo: Photo, view: str) -> bool:
    words = f" {photo.caption or ''} ".replace("-", " ").lower()
    wanted = view.replace("-", " ").lower()
    three_quarter = "three quarter" in words and "three quarter" not in wanted
    return wanted in words and not three_quarter


def _fitness(cut: CutOut, placement: Placement) -> float:
    """How well its silhouette, `fitted`, covers a mask (IoU), or its detail for the place."""
    if placement.mask is None:
        detail = min(1.0, cut.alpha.shape[0] / placement.box.height)
        return detail + 0.1 * float((cut.alpha > 0.5).mean())
    own = np.zeros(placement.mask.shape, np.float32)
    place = _standing(cut, Box(0, 0, placement.box.width, placement.box.height))
    size = place.width, place.height
    own[place.region] = cv2.resize(cut.alpha, size, interpolation=cv2.INTER_AREA)
    both, either = np.minimum(own, placement.mask).sum(), np.maximum(own, placement.mask).sum()
    return float(both / max(either, 1))


def fitted(cut: CutOut, box: Box) -> tuple[Colours, Colours, Box]:
    """The cut-out as large as fits into `box`, standing on its lower edge: colours, alpha, its box."""
    place = _standing(cut, box)
    size = place.width, place.height
    way = cv2.INTER_AREA if place.height < cut.alpha.shape[0] else cv2.INTER_CUBIC
    alpha = cv2.resize(cut.alpha, size, interpolation=way).clip(0, 1)
    colours = cv2.resize(cut.colours, size, interpolation=way).clip(0, 1)
    return colours, alpha, place


def _standing(cut: CutOut, box: Box) -> Box:
    """Where in `box` it stands, in its own proportions."""
    scale = min(box.width / cut.alpha.shape[1], box.height / cut.alpha.shape[0])
    width, height = (max(1, round(side * scale)) for side in cut.alpha.shape[::-1])
    return Box(box.left + (box.width - width) // 2, box.bottom - height, width, height)


def _without_fringe(colours: Colours, alpha: Colours) -> Colours:
    """Colours with what is at the edge taken from just inside: there the photo's background shines in."""
    sure = np.pad((alpha > 0.9).astype(np.uint8), 1)
    inside = cv2.erode(sure, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    if not inside.any():
        return colours
    _, labels = cv2.distanceTransformWithLabels(
        1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((int(labels.max()) + 1, 3), np.float32)
    nearest[labels[inside > 0]] = colours[inside > 0]
    return np.where(inside[..., None] > 0, colours, nearest[labels])


def thumbnail(cut: CutOut, side: int = 224, grey: float = 0.5) -> Image.Image:
    """It over grey in a square, as judges of likeness look at it."""
    flat = cut.colours * cut.alpha[..., None] + grey * (1 - cut.alpha[..., None])
    return squared(flat, side, grey)


def squared(colours: Colours, side: int, grey: float = 0.5) -> Image.Image:
    """A picture in the middle of a grey square, with a small margin."""
    height, width = colours.shape[:2]
    scale = side * (1 - 2 * _MARGIN) / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(
        colours, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    square = np.full((side, side, 3), grey, np.float32)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return Image.fromarray((square.clip(0, 1) * 255).round().astype(np.uint8))
