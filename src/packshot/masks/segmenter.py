"""The interface of segmenters; each kind is one file, listed in `registry.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL import Image

from packshot.utils.progress import Progress

COMPARED_PIXELS = 448
"""Longer side of the pictures that photos are compared by."""


class Segmenter(Protocol):
    """Segments the one product in an image."""

    name: str

    def mask(self, picture: Image.Image) -> Image.Image:
        """The product's mask: mode L, the size of `picture`, 255 on the product."""
        ...


@dataclass(frozen=True)
class Found:
    """A mask that was found, and how far it is in doubt.

    Attributes:
        mask: mode L, the picture's size, 255 on the product.
        doubt: 0 if all ways of finding it agree, towards 1 the less they do.
    """

    mask: Image.Image
    doubt: float


@runtime_checkable
class ClassSegmenter(Segmenter, Protocol):
    """A segmenter that knows some classes of products better."""

    def for_class(self, noun: str) -> Segmenter:
        """The segmenter for products of that class noun: itself, or one of the same name."""
        ...


def for_class(segmenter: Segmenter, noun: str) -> Segmenter:
    """What a segmenter has for products of a class noun."""
    return segmenter.for_class(noun) if isinstance(segmenter, ClassSegmenter) else segmenter


@runtime_checkable
class ComparingSegmenter(Segmenter, Protocol):
    """A segmenter that finds what several photos of one product have in common."""

    def compare(
        self,
        pictures: Sequence[Image.Image],
        known: Sequence[Image.Image | None],
        progress: Progress = ...,
    ) -> list[Found]:
        """What is found in each picture.

        Args:
            pictures: all of one product, of up to `COMPARED_PIXELS`.
            known: masks that a person drew, which the others are compared with.
        """
        ...
