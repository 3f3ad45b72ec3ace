"""A picture in its parts: the product alone, and what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from packshot.images.loading import open_image
from packshot.images.masks import read_mask, shows_a_product
from packshot.masks import Segmenter

Pixels = NDArray[np.floating[Any]]
SIDE = 256
"""Pixels of the squares that are embedded: a little more than what most embedders take."""
_ROOM = 0.06
"""Around the product, of the longer side of its box."""
_COUNTED = 0.1
"""Of the largest region: smaller ones are parts, specks or reflections."""


@dataclass(frozen=True)
class Seen:
    """A picture's product and background, each [1, 3, SIDE, SIDE] in [-1, 1].

    Attributes:
        product: the product alone on grey, its box fills the square; the whole picture if none is found.
        background: the picture, with the product's place in the colour of what is around it.
        count: connected regions of the product.
    """

    product: Tensor
    background: Tensor
    count: int


def see(picture: Image.Image, mask: Image.Image) -> Seen:
    """Part an RGB picture by its product's mask (mode L, of the same size)."""
    if not shows_a_product(mask):
        whole = _square(np.asarray(picture, np.float32))
        return Seen(whole, whole, 0)
    # One after the other: of 64 megapixels each copy as floats takes 768 MB.
    pixels = np.array(picture, np.float32)
    share: Pixels = np.asarray(mask, np.float32) / np.float32(255)
    product = _square(_boxed(pixels, share))
    grown = cv2.dilate(
        share, np.ones((5, 5), np.uint8), iterations=max(1, min(picture.size) // 100)
    )
    outside = grown < 0.5
    around = pixels[outside].mean(axis=0) if outside.any() else np.full(3, 127.5, np.float32)
    pixels[~outside] = around
    return Seen(product, _square(pixels), _regions(share))


def see_file(file: Path, segmenter: Segmenter, mask: Path | None = None) -> Seen:
    """Part an image file, by its mask file if it has one, else by what the segmenter finds.

    Raises:
        ImageRejectedError: it cannot be opened.
    """
    picture = open_image(file)
    return see(picture, read_mask(mask, picture.size) if mask else segmenter.mask(picture))


def _boxed(pixels: Pixels, share: Pixels) -> Pixels:
    """The square around the product, which is alone on grey, also where it leaves the picture."""
    rows, columns = (np.flatnonzero((share >= 0.5).any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    half = int(np.ceil((0.5 + _ROOM) * max(bottom - top, right - left)))
    y, x = (top + bottom) // 2, (left + right) // 2
    square: Pixels = np.full((2 * half, 2 * half, 3), 127.5, np.float32)
    up, aside = max(y - half, 0), max(x - half, 0)
    seen = pixels[up : y + half, aside : x + half]
    place = square[up - y + half :, aside - x + half :][: seen.shape[0], : seen.shape[1]]
    np.subtract(seen, 127.5, out=place)
    place *= share[up : y + half, aside : x + half, None]
    place += 127.5
    return square


def _square(pixels: Pixels) -> Tensor:
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small / 127.5 - 1).permute(2, 0, 1)[None].float()


def _regions(share: Pixels) -> int:
    _, _, facts, _ = cv2.connectedComponentsWithStats((share >= 0.5).astype(np.uint8))
    areas = facts[1:, cv2.CC_STAT_AREA]
    return int((areas >= _COUNTED * areas.max()).sum()) if len(areas) else 0
