"""What a mask took along or left out: as the project's other photos tell it by their colours, and of round
things as one side tells it of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from skimage.color import rgb2lab

from packshot.images.loading import open_image
from packshot.images.masks import read_mask
from packshot.insertion.background import Colours
from packshot.insertion.heights import has_windows, is_same_all_around
from packshot.insertion.symmetry import one_sided
from packshot.photos.photo_set import Photo
from packshot.utils import hashing

_PIXELS = 256
_BINS = 24
"""Of lightness and of each chroma, over 120 units of CIELAB."""
_SPREAD = 1.0
"""Of the histograms, in bins: light differs from photo to photo."""
_UNLIKE = 2.0
"""Natural logarithm of how much likelier a colour is to be of the one than of the other."""
_RARE = 2e-5
"""A colour's share of a picture below which it counts as never seen."""
_ALONG, _LEFT_OUT = 0.042, 0.02
"""Shares of the mask that seem wrong in masks that are right."""
_ONE_SIDED = 0.005
_RIM = 2
"""Pixels of the mask's edge: what reaches it may have come along from outside."""
_SHADE = 20.0
"""Lightness below which what lies under the product is taken for its shade: it is as black as tyres."""
_NEAR = 0.12
"""Of the product's longer side: how far from the mask what is missing may lie."""


@dataclass(frozen=True)
class MaskFaults:
    """The largest connected parts that seem wrong, as shares of the mask's area."""

    taken_along: float
    left_out: float
    one_sided: float = 0.0
    """Of a round thing: what only one side has."""

    @property
    def severity(self) -> float:
        """The worst over what is usual of masks that are right: above 1 it is a fault.

        (Of 45 photos of eight products with outlines drawn by hand.)
        """
        return max(
            self.taken_along / _ALONG, self.left_out / _LEFT_OUT, self.one_sided / _ONE_SIDED
        )

    @property
    def why(self) -> str:
        """The worst in words."""
        words = {
            "it takes along what the other photos do not show": self.taken_along / _ALONG,
            "beside it is more of the product": self.left_out / _LEFT_OUT,
            "its sides differ, as if something stood before it or came along": self.one_sided
            / _ONE_SIDED,
        }
        return max(words, key=lambda each: words[each])


@dataclass(frozen=True)
class _Look:
    bins: np.ndarray
    inside: np.ndarray
    near: np.ndarray
    product: Colours
    surroundings: Colours
    one_sided: float


def mask_faults(photos: Sequence[Photo], noun: str = "") -> dict[str, MaskFaults]:
    """The faults of the photos' masks, by the photos' file names; photos without a mask are left out.

    A part of the mask is taken along if its colours are usual around the product in this photo and
    unheard of on the product in the others; a part beside the mask is left out if it is the other
    way round. In windows, by the class noun, surroundings are seen: what is taken along into such a
    product reaches its edge. Black shade under the product is no part of it. What is the same all
    around, by its class noun, has two sides alike, as the photo that is best at it shows. Of a
    single photo nothing can be said: it is left out, too.
    """
    looks = {
        photo.file.name: _look(
            photo.file, photo.mask, hashing.stamp(photo.file), hashing.stamp(photo.mask)
        )
        for photo in photos
        if photo.mask
    }
    if len(looks) < 2:
        return {}
    all_around = is_same_all_around(noun)
    windows = has_windows(noun)
    usual = min(look.one_sided for look in looks.values())
    return {
        name: replace(
            _faults(look, [other for key, other in looks.items() if key != name], windows),
            one_sided=look.one_sided - usual if all_around else 0.0,
        )
        for name, look in looks.items()
    }


@lru_cache(maxsize=256)
def _look(file: Path, drawn: Path, *stamps: tuple[int, int, int]) -> _Look:
    """What of a photo is compared; kept, as previews ask again and again."""
    image = open_image(file)
    mask = read_mask(drawn, image.size)
    sides = one_sided(np.asarray(mask) > 127)
    image.thumbnail((_PIXELS, _PIXELS))
    lab = rgb2lab(np.asarray(image, np.float32) / 255).astype(np.float32)
    inside = np.asarray(mask.resize(image.size)) > 127
    reach = max(2, round(_NEAR * _longer_side(inside)))
    wide = cv2.dilate(inside.astype(np.uint8), _disc(reach)) > 0
    shade = np.logical_or.accumulate(inside, axis=0) & (lab[..., 0] < _SHADE)
    bins = _bins(lab, inside)
    seen = _histogram(bins[inside]), _histogram(bins[~inside])
    return _Look(bins, inside, wide & ~inside & ~shade, *seen, sides)


def _longer_side(inside: np.ndarray) -> int:
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return int(max(np.ptp(rows), np.ptp(columns))) + 1 if len(rows) else 1


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _bins(lab: Colours, inside: np.ndarray) -> np.ndarray:
    """Indices of the colours' bins, with lightness counted from the product's own median."""
    light = float(np.median(lab[..., 0][inside])) if inside.any() else 50.0
    parts = (lab[..., 0] - light + 60, lab[..., 1] + 60, lab[..., 2] + 60)
    one, two, three = ((part * (_BINS / 120)).clip(0, _BINS - 1).astype(int) for part in parts)
    return np.asarray((one * _BINS + two) * _BINS + three)


def _histogram(bins: np.ndarray) -> Colours:
    counts = np.bincount(bins, minlength=_BINS**3).astype(np.float32).reshape((_BINS,) * 3)
    for axis in range(3):
        counts = _blurred(counts, axis)
    return (counts / max(float(counts.sum()), 1.0)).reshape(-1)


def _blurred(counts: Colours, axis: int) -> Colours:
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(counts, _SPREAD, axis=axis, mode="nearest"))


def _faults(look: _Look, others: Sequence[_Look], windows: bool) -> MaskFaults:
    # The second: what a single mask took along is not the product's.
    seen = np.sort([other.product for other in others], axis=0)
    product = seen[-min(2, len(others))]
    ratio = np.log((look.surroundings + _RARE) / (product + _RARE))[look.bins]
    area = max(int(look.inside.sum()), 1)
    # Its own mask may be wrong and still be nearly right: what it shows is of the product as well.
    own = np.log((look.surroundings + _RARE) / (np.maximum(product, look.product) + _RARE))[
        look.bins
    ]
    rim = look.inside & (cv2.erode(look.inside.astype(np.uint8), _disc(_RIM), borderValue=1) == 0)
    return MaskFaults(
        _largest(look.inside & (ratio > _UNLIKE), touching=rim if windows else None) / area,
        _largest(look.near & (own < -_UNLIKE)) / area,
    )


def _largest(part: np.ndarray, touching: np.ndarray | None = None) -> int:
    """Pixels of the largest connected part wider than a thin rim that touches a region, if one is given."""
    solid = cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_OPEN, _disc(2))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    if touching is not None:
        areas[np.setdiff1d(np.arange(len(areas)), labels[touching])] = 0
    return int(areas.max())
