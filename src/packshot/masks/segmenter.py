"""The interface of segmenters; each kind is one file, listed in `registry.py`."""

from __future__ import annotations

from typing import Protocol

from PIL import Image


class Segmenter(Protocol):
    """Segments the one product in an image."""

    name: str

    def mask(self, picture: Image.Image) -> Image.Image:
        """The product's mask: mode L, the size of `picture`, 255 on the product."""
        ...
