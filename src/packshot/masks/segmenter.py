"""What a segmenter is: one file a kind, all named in `registry.py`."""

from __future__ import annotations

from typing import Protocol

from PIL import Image


class Segmenter(Protocol):
    """Finds the one product that a picture is of."""

    name: str

    def mask(self, picture: Image.Image) -> Image.Image:
        """The product's share of each pixel: mode L, the size of `picture`, 255 on the product."""
        ...
