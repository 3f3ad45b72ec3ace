"""Harmonization: matching the product's exposure, colour cast, sharpness and grain to the background."""

from __future__ import annotations

import cv2
import numpy as np

from packshot.insertion.background import Colours

_MOST_GAIN = 1.12
_MOST_CAST = 0.03
"""How far a channel may move against the others: more would be another brand colour."""


def harmonize(
    product: Colours, alpha: Colours, around: Colours, photo: Colours, seed: int
) -> Colours:
    """Match the product's colours [h, w, 3] to the background's light and camera.

    Args:
        around: the background near the product, [h', w', 3].
        photo: the surroundings of the product in its own photo [N, 3], an estimate of its light.
        seed: of the grain.
    """
    adjusted = _as_sharp(_exposed(product, alpha, around, photo), alpha, around)
    return _grained(adjusted, around, seed).clip(0, 1)


def _exposed(product: Colours, alpha: Colours, around: Colours, photo: Colours) -> Colours:
    """Exposure and cast a quarter of the way (in stops) from its photo to the background, limited.

    Surroundings differ by their content more than by their light, hence only a quarter.
    """
    if not photo.size:
        return product
    here, there = (np.maximum(np.median(c.reshape(-1, 3), axis=0), 0.02) for c in (around, photo))
    gains = (here / there) ** 0.25
    level = float(np.clip(gains.mean(), 1 / _MOST_GAIN, _MOST_GAIN))
    cast = np.clip(gains / gains.mean(), 1 - _MOST_CAST, 1 + _MOST_CAST)
    inside = product[alpha > 0.9]
    # Highlights that are near white already would be lost.
    bright = float(np.quantile(inside, 0.99)) if inside.size else 1.0
    level = min(level, max(1.0, 0.99 / max(bright, 0.02)))
    return (product * level * cast).astype(np.float32)


def sharpness(colours: Colours, inside: Colours | None = None) -> float:
    """Sharpness of the strongest edges: the 98th percentile of the Laplacian's magnitude."""
    grey = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY)
    detail = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    values = detail[inside > 0.95] if inside is not None else detail
    return float(np.quantile(values, 0.98)) if values.size else 0.0


def _as_sharp(product: Colours, alpha: Colours, around: Colours) -> Colours:
    """Blurs the product just enough to be at most four times as sharp as the background around it.

    Never by much, because calm ground has no edges to measure a lens by: print must stay legible.
    """
    wanted = max(4 * sharpness(around), 0.25)
    for sigma in (0.0, 0.4, 0.55, 0.7):
        blurred = cv2.GaussianBlur(product, (0, 0), sigma) if sigma else product
        if sharpness(blurred, alpha) <= wanted:
            break
    return blurred


def grain(colours: Colours) -> float:
    """The noise's standard deviation (Immerkaer 1996, with the median, so edges do not count)."""
    grey = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel))) / 0.6745 / 6)


def _grained(product: Colours, around: Colours, seed: int) -> Colours:
    """Adds the noise that the background has in excess of the product's."""
    missing = grain(around) ** 2 - grain(product) ** 2
    if missing <= 1e-6:
        return product
    noise = np.random.default_rng(seed).standard_normal(product.shape[:2]).astype(np.float32)
    return product + noise[..., None] * np.sqrt(np.float32(min(missing, 0.04**2)))
