"""Masks: which pixels of each photo are the product, by a segmenter or drawn by a person."""

from packshot.images.masks import shows_a_product
from packshot.masks.drawing import draw_mask
from packshot.masks.mask_photos import MaskResult, mask_photos
from packshot.masks.segmenter import Segmenter

__all__ = [
    "MaskResult",
    "Segmenter",
    "draw_mask",
    "mask_photos",
    "shows_a_product",
]
