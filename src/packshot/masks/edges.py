"""Probabilities as masks: their edges moved to where colours change, soft, and without specks."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from packshot.masks.regions import Region, cut_by_colours, without_specks

_SURE = 0.9
_POSSIBLE = 0.1


def as_mask(probabilities: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Probabilities [h, w] in [0, 1] as a mask, mode L, resized to (width, height)."""
    # In 8 bits before it is made larger: one of 64 megapixels would take 256 MB in floats.
    mask = Image.fromarray((probabilities * 255).round().astype(np.uint8))
    return mask.resize(size, Image.Resampling.BICUBIC)


def without_islands(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities [h, w] without small separate islands; soft edges and translucency are kept."""
    return np.where(without_specks(probabilities > _POSSIBLE / 2), probabilities, 0)


def refine_edges(pixels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Move the edge of probabilities [h, w] to where the colours of `pixels` uint8 [h, w, 3] change.

    Colours decide on the pixels of which the network is unsure.
    """
    sure, possible = probabilities > _SURE, probabilities >= _POSSIBLE
    if not sure.any() or not (possible & ~sure).any():
        return probabilities
    cut = cut_by_colours(pixels, probabilities > 0.5, sure, possible, rounds=2)
    return probabilities if cut is None else softened(without_specks(cut))


def softened(inside: Region) -> np.ndarray:
    """A region as probabilities, fp32 [h, w], with an edge of about a pixel."""
    return cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7)
