"""Cutting the product out of the photos, and choosing the photo that fits a placement best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image
from scipy.signal import find_peaks

from packshot.errors import InsertionError
from packshot.images import sidecars
from packshot.images.loading import open_image
from packshot.images.masks import read_mask
from packshot.insertion.background import Box, Colours
from packshot.insertion.gaps import without_gaps
from packshot.insertion.heights import is_round
from packshot.insertion.mask_faults import MaskFaults
from packshot.insertion.matting import matte
from packshot.insertion.photo_camera import PhotoCamera, camera_of_photo
from packshot.insertion.placement import Placement
from packshot.insertion.symmetry import inner, turned
from packshot.insertion.viewpoint import Viewpoint
from packshot.masks import Segmenter
from packshot.masks.registry import load_segmenter
from packshot.photos.photo_set import DOUBTFUL, Photo

_MARGIN = 0.02
_AROUND = 0.04
"""Of the longer side of its box: how much of the photo is kept on each side, for the rim to be told by."""
_CUT = 0.2
"""Of a side of the product's box: what touches the photo's edge by more is cut off there."""
_WHITE, _ALL = 0.99, 0.98
"""What is blank, and the share of surroundings that must be: nothing is there, and no light is told by it."""
_FIT_ENOUGH = 0.97
_USUAL = 0.8
_SHAPES, _UNLIKE_SHAPE = 4, 0.1
"""Photos from which shapes are compared; the logarithm of widths over heights that halves a photo's worth."""
_FOOT = 0.02
"""Of the product's height: how far a foot reaches below what is beside it."""
_HIDDEN = 0.25
"""How much less a photo is worth for each foot more than is usual."""


@dataclass(frozen=True)
class CutOut:
    """The product cut out of a photo, cropped to its bounding box.

    Attributes:
        colours: [height, width, 3]; outside the product its edge colours are continued.
        alpha: the product's opacity per pixel, [height, width], 0 to 1.
        beside: the photo's other pixels, which tell of its light, [N, 3]; none if they are blank.
    """

    photo: Photo
    colours: Colours
    alpha: Colours
    beside: Colours
    corner: tuple[int, int] = (0, 0)
    """Left and top of its box in the photo."""
    camera: PhotoCamera | None = None
    """How the photo sees it, if that was asked for."""
    around: tuple[Colours, Colours] | None = None
    """Colours and alpha with the same margin of the photo on all sides; None if only the box is known."""

    @property
    def aspect(self) -> float:
        """Width divided by height."""
        return self.alpha.shape[1] / self.alpha.shape[0]


def cut_out(photo: Photo, segmenter: Segmenter | None = None) -> CutOut:
    """Cut the product out of a photo, by its mask or else by a segmenter, with its rim.

    Args:
        segmenter: by default the best one available; pass one if you call this often.

    Raises:
        InsertionError: no product was found in the photo.
        ImageRejectedError: the photo or its mask cannot be read.
    """
    return with_rim(_by_mask(photo, segmenter))


def _by_mask(photo: Photo, segmenter: Segmenter | None) -> CutOut:
    """As `cut_out`, with the mask as it is: what photos are compared by."""
    image = open_image(photo.file)
    own = read_mask(photo.mask, image.size) if photo.mask else None
    mask = own or (segmenter or load_segmenter()).mask(image)
    colours: Colours = np.asarray(image, dtype=np.float32) / 255
    alpha: Colours = np.asarray(mask, dtype=np.float32) / 255
    if photo.masked_by or not own:  # what a person drew is meant so
        alpha = without_gaps(colours, alpha)
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise InsertionError(
            f"No product was found in {photo.file.name}; paint its mask: {sidecars.mask_place(photo.file)}"
        )
    left, top = corner = int(columns[0]), int(rows[0])
    box = Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
    margin = math.ceil(_AROUND * max(box.width, box.height)) + 2
    around = _grown(colours, box, margin), _grown(alpha, box, margin)
    beside = _surroundings(colours, alpha)
    colours, alpha = (inner(values, margin) for values in around)
    return CutOut(photo, colours, alpha, beside, corner, around=around)


def _grown(values: Colours, box: Box, margin: int) -> Colours:
    """A photo's values in the box and a margin around it; beyond the photo's edge they are continued."""
    rows, columns = (
        np.arange(first - margin, first + length + margin).clip(0, end - 1)
        for first, length, end in zip(
            (box.top, box.left), (box.height, box.width), values.shape, strict=False
        )
    )
    return values[np.ix_(rows, columns)]


def _surroundings(colours: Colours, alpha: Colours) -> Colours:
    """The pixels beside the product; none of a picture that was cut out, or retouched to pure white."""
    outside = colours[alpha < 0.02]
    is_blank = len(outside) and (outside.min(axis=1) > _WHITE).mean() > _ALL
    return outside[:0] if is_blank else outside


def with_rim(cut: CutOut) -> CutOut:
    """The cut-out with the opacity of its rim, and the colours of the product alone there; see `matte`."""
    around, margin = _around(cut)
    colours, alpha = (inner(values, margin) for values in matte(*around))
    return replace(cut, colours=colours, alpha=alpha, around=None)


def _around(cut: CutOut) -> tuple[tuple[Colours, Colours], int]:
    """Colours and alpha with what is known around the box, and how many pixels of it on each side."""
    around = cut.around or (cut.colours, cut.alpha)
    return around, (len(around[1]) - len(cut.alpha)) // 2


def chosen(photos: Sequence[Photo], name: str | None) -> list[Photo]:
    """The photo of that name, in the project or as it was given; all of them if there is no name.

    Raises:
        InsertionError: no photo has that name.
    """
    named = [photo for photo in photos if name in (None, photo.file.name, photo.source)]
    if photos and not named:
        raise InsertionError(
            f"There is no photo {name}. The photos are {', '.join(photo.source for photo in photos)}."
        )
    return named


def best_photos(
    photos: Sequence[Photo],
    placement: Placement,
    view: str | None,
    segmenter: Segmenter | None = None,
    *,
    seen: Viewpoint | None = None,
    noun: str = "",
    faults: Mapping[str, MaskFaults] | None = None,
) -> list[CutOut]:
    """Cut-outs of the photos, the fittest for a placement first.

    A photo fits that looks down at the product as steeply as the place is seen; cut-outs that lean
    are turned upright, by a few degrees at most.

    Only photos whose caption names the view, if one is given, and only products that the photo's
    edge does not cut. With a placement mask they are ranked by silhouette, and only those near the
    best are kept; otherwise by resolution for the placement's size. Cut-outs with unusual colours
    or of a shape that no other photo has rank lower, and so do those whose masks are in doubt: they are
    likely to be wrong. So do those whose lower edge is ragged, as by grass before it.

    Args:
        seen: how the place is seen; None to choose without.
        noun: the product's class noun, which tells whether its foot is round.
        faults: of the photos' masks, by their file names; see `mask_faults`.

    Raises:
        InsertionError: no photo shows the whole product, or none shows that view.
    """
    cuts = []
    if segmenter is None and any(photo.mask is None for photo in photos):
        segmenter = load_segmenter()
    for photo in photos:
        try:
            cuts.append(_by_mask(photo, segmenter))
        except InsertionError:
            continue
    whole = [cut for cut in cuts if not is_cut_off(cut)]
    if view:
        whole = [cut for cut in whole if _shows(cut.photo, view)]
    if not whole:
        raise InsertionError(
            f"No photo shows the product as seen from the {view}. Add one, or name another view with --view."
            if view
            else "No photo shows the product whole. Add one, or correct the photos' masks."
        )
    typical = _typical(whole)
    fits = [(cut, _fitness(cut, placement) * typical[id(cut)]) for cut in whole]
    if placement.mask is None:
        standing, shaped = _freely_standing(whole), _shaped(whole)
        fits = [
            (cut, fit * standing[id(cut)] * shaped[id(cut)] * _sure(cut, faults))
            for cut, fit in fits
        ]
    else:  # a silhouette that fits is a mask that is right
        least = _FIT_ENOUGH * max(fit for _, fit in fits)
        fits = [(cut, fit) for cut, fit in fits if fit >= least]
    if seen:
        fits = [_as_seen(cut, fit, seen, noun) for cut, fit in fits]
    return [cut for cut, _ in sorted(fits, key=lambda one: -one[1])]


def _as_seen(cut: CutOut, fit: float, seen: Viewpoint, noun: str) -> tuple[CutOut, float]:
    """The cut-out upright and with its camera, and its fitness by how alike the photo sees it."""
    height, width = cut.alpha.shape
    place = Box(*cut.corner, width, height)
    camera = camera_of_photo(cut.photo, place, cut.alpha, is_round(noun))
    upright = replace(cut, camera=camera)
    if turn := seen.turn_for(camera):
        upright = _turned(upright, turn)
    return upright, fit * seen.fits(camera)


def _turned(cut: CutOut, degrees: float) -> CutOut:
    """The cut-out turned clockwise, with what is around it."""
    around, margin = _around(cut)
    around = turned(*around, degrees, margin)
    colours, alpha = (inner(values, margin) for values in around)
    return replace(cut, colours=colours, alpha=alpha, around=around)


def _freely_standing(cuts: Sequence[CutOut]) -> dict[int, float]:
    """A factor per cut-out: less where grass or the like hides its lower edge, which is then ragged.

    Feet are counted, and compared with what is usual in the product's other photos.
    """
    feet = []
    for cut in cuts:
        inside = cut.alpha > 0.5
        height = len(inside)
        lowest = np.where(inside.any(axis=0), height - inside[::-1].argmax(axis=0), 0)
        peaks, _ = find_peaks(np.pad(lowest, 1), prominence=_FOOT * height)
        feet.append(len(peaks))
    usual = float(np.median(feet)) + 1
    counted = zip(cuts, feet, strict=True)
    return {id(cut): 1 / (1 + _HIDDEN * max(0.0, count - usual)) for cut, count in counted}


def _sure(cut: CutOut, faults: Mapping[str, MaskFaults] | None) -> float:
    """A factor: 1 for a mask without doubt and with no more faults than right ones seem to have; half at a
    doubt of which a user is told."""
    certain = 1 / (1 + ((cut.photo.mask_doubt or 0.0) / DOUBTFUL) ** 2)
    known = (faults or {}).get(cut.photo.file.name)
    return certain / max(1.0, known.severity) if known else certain


def _shaped(cuts: Sequence[CutOut]) -> dict[int, float]:
    """A factor per cut-out: less where no other photo has nearly its proportions, as without its handle.

    Of few photos each may be of another side: then it is 1.
    """
    if len(cuts) < _SHAPES:
        return dict.fromkeys(map(id, cuts), 1.0)
    aspects = np.log([cut.aspect for cut in cuts])
    apart = np.abs(aspects[:, None] - aspects)
    np.fill_diagonal(apart, np.inf)
    factors = 1 / (1 + (apart.min(axis=1) / _UNLIKE_SHAPE) ** 2)
    return {id(cut): float(factor) for cut, factor in zip(cuts, factors, strict=True)}


def _typical(cuts: Sequence[CutOut]) -> dict[int, float]:
    """A factor per cut-out: 1 if the others have its colours too, less if not.

    It finds masks that include something next to the product. (Histogram intersection: Swain and
    Ballard 1991, https://doi.org/10.1007/BF00130487.) Sides of a product differ as well, so only
    values far below the median are reduced.
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


def is_cut_off(cut: CutOut) -> bool:
    """Whether the photo's edge cuts much of the product.

    A picture that somebody has cut out and cropped to the product touches it all around, and is whole.
    """
    (left, top), (height, width) = cut.corner, cut.alpha.shape
    touched = (
        (left == 0, cut.alpha[:, 0]),
        (left + width == cut.photo.width, cut.alpha[:, -1]),
        (top == 0, cut.alpha[0]),
        (top + height == cut.photo.height, cut.alpha[-1]),
    )
    is_drawn = cut.photo.mask is not None and cut.photo.masked_by is None
    if is_drawn and all(touches for touches, _ in touched):
        return False
    return any(touches and float(side.mean()) > _CUT for touches, side in touched)


def _shows(photo: Photo, view: str) -> bool:
    words = f" {photo.caption or ''} ".replace("-", " ").lower()
    wanted = view.replace("-", " ").lower()
    three_quarter = "three quarter" in words and "three quarter" not in wanted
    return wanted in words and not three_quarter


def _fitness(cut: CutOut, placement: Placement) -> float:
    """IoU of its silhouette (as `fitted`) with the placement's mask, else its relative resolution."""
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
    """The cut-out scaled to fit into `box`, on its lower edge: colours, alpha, its own box."""
    place = _standing(cut, box)
    size = place.width, place.height
    way = cv2.INTER_AREA if place.height < cut.alpha.shape[0] else cv2.INTER_CUBIC
    alpha = cv2.resize(cut.alpha, size, interpolation=way).clip(0, 1)
    colours = cv2.resize(cut.colours, size, interpolation=way).clip(0, 1)
    return colours, alpha, place


def _standing(cut: CutOut, box: Box) -> Box:
    """The cut-out's box in `box`, in its own proportions, centred on the lower edge."""
    scale = min(box.width / cut.alpha.shape[1], box.height / cut.alpha.shape[0])
    width, height = (max(1, round(side * scale)) for side in cut.alpha.shape[::-1])
    return Box(box.left + (box.width - width) // 2, box.bottom - height, width, height)


def thumbnail(cut: CutOut, side: int = 224, grey: float = 0.5) -> Image.Image:
    """The cut-out centred on a grey square: the input of the CLIP comparison."""
    flat = cut.colours * cut.alpha[..., None] + grey * (1 - cut.alpha[..., None])
    return squared(flat, side, grey)


def squared(colours: Colours, side: int, grey: float = 0.5) -> Image.Image:
    """An image in the middle of a grey square, with a small margin."""
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
