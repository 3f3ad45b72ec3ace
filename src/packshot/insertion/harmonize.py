"""Harmonization: the product in the background's light and as its camera sees that place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from packshot.insertion import optics
from packshot.insertion.background import Colours
from packshot.insertion.optics import Grain

_MOST_GAIN = 1.3
_MOST_CAST = 0.05
"""How far a channel may move against the others: more would be another brand colour."""
_SHARE = 0.35
"""How far (in stops) it goes from its photo's light to the background's: surroundings differ by
their content as well as by their light."""
_MOST_LIFT = 0.02
"""How far black is lifted: a bright background without anything black is no proof of haze."""
_FAR = 6.0
"""CIEDE2000 with lightness counted half, that a tenth of the product may move at most; the check
of its colour (`quality_checks.colour`) begins at 7.2."""
_SAMPLE = 4000
_ALLOWED = 0.85
"""Of the blur at its place: a product that much sharper is not noticed, and its print is clearer."""
_LEAST_BLUR = 0.3
"""Pixels: less blur is not seen."""
_MOST_BLUR = 0.015
"""Of the product's height: through more one cannot read its print."""


@dataclass(frozen=True)
class Look:
    """How the background's camera sees what stands in a place.

    Attributes:
        around: the background near it, [h, w, 3].
        blur: of edges there, a Gaussian's standard deviation in pixels; None if it shows none.
        grain: of the background; None if it is too small to tell.
    """

    around: Colours
    blur: float | None
    grain: Grain | None


def harmonize(
    product: Colours, alpha: Colours, look: Look, photo: Colours, seed: int
) -> tuple[Colours, Colours]:
    """Match the product's colours [h, w, 3] and opacity [h, w] to the background's light and camera.

    Args:
        photo: the surroundings of the product in its own photo [N, 3], an estimate of its light.
        seed: of the grain.
    """
    lit = relit(product, alpha, look.around, photo)
    sigma = missing_blur(lit, alpha, look.blur)
    if sigma:
        lit, alpha = (cv2.GaussianBlur(one, (0, 0), sigma) for one in (lit, alpha))
    if look.grain:
        own = optics.grain_of([lit], alpha > 0.95)
        lit = optics.add_grain(lit, look.grain, own, seed)
    return lit.clip(0, 1), alpha


def relit(product: Colours, alpha: Colours, around: Colours, photo: Colours) -> Colours:
    """The product in the background's exposure, cast and contrast, as far as its colours allow.

    The darkest of it is not darker than the background's darkest (haze and lens flare lift that),
    highlights do not burn out, and no colour moves further than an eye allows the brand.
    """
    inside = product[alpha > 0.9]
    if not photo.size or not inside.size:
        return product
    gains, lift = _wanted(inside, around, photo)
    picked = inside[:: max(1, len(inside) // _SAMPLE)]
    for share in np.linspace(1, 0, 9):
        moved = _moved(picked, gains**share, lift * share)
        if _distance(picked, moved) <= _FAR:
            break
    return _moved(product, gains**share, lift * share)


def _wanted(inside: Colours, around: Colours, photo: Colours) -> tuple[Colours, float]:
    """Gains per channel [3], and how far black is lifted."""
    here, there = (_levels(colours) for colours in (around, photo))
    gains = (here / there) ** _SHARE
    level = float(np.clip(np.exp(np.log(gains).mean()), 1 / _MOST_GAIN, _MOST_GAIN))
    cast = np.clip(gains / gains.mean(), 1 - _MOST_CAST, 1 + _MOST_CAST)
    # Highlights that are near white already would be lost.
    bright = float(np.quantile(inside, 0.99))
    level = min(level, max(1.0, 0.99 / max(bright, 0.02)))
    black, own = (float(np.quantile(_grey(one), 0.005)) for one in (around, inside * level))
    return (level * cast).astype(np.float32), float(np.clip(black - own, 0, _MOST_LIFT))


def _levels(colours: Colours) -> Colours:
    """The light on a scene per channel: between its median and its highlights."""
    flat = colours.reshape(-1, 3)
    flat = flat[:: max(1, len(flat) // 100_000)]
    middle, high = (np.maximum(np.quantile(flat, q, axis=0), 0.02) for q in (0.5, 0.95))
    return np.sqrt(middle * high).astype(np.float32)


def _grey(colours: Colours) -> Colours:
    return np.asarray(colours @ np.array([0.299, 0.587, 0.114], np.float32))


def _moved(colours: Colours, gains: Colours, lift: float) -> Colours:
    """Black at `lift` instead of 0, then the gains."""
    return ((lift + (1 - lift) * colours) * gains).astype(np.float32)


def _distance(before: Colours, after: Colours) -> float:
    """What a tenth of the colours [N, 3] exceeds: CIEDE2000, with lightness counted half."""
    own, now = (rgb2lab(colours.clip(0, 1)[None]) for colours in (before, after))
    return float(np.quantile(deltaE_ciede2000(own, now, kL=2), 0.9))


def missing_blur(product: Colours, alpha: Colours, wanted: float | None) -> float:
    """The blur to add to a product so that it is not much sharper than its place; 0 if it is not."""
    if wanted is None:
        return 0.0
    inside = cv2.erode((alpha > 0.95).astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0)
    own = optics.blur_of(product, inside > 0) or 0.0
    missing = math.sqrt(max((_ALLOWED * wanted) ** 2 - own**2, 0.0))
    missing = min(missing, _MOST_BLUR * len(product))
    return missing if missing >= _LEAST_BLUR else 0.0
