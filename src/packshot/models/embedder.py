"""What turns images, and texts, into vectors that are near each other if they show or say the like."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class ImageEmbedder(Protocol):
    """Images as unit vectors, near each other if they show the like."""

    name: str

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] (any size) to unit vectors [B, D]."""
        ...


class ClipSimilarity(ImageEmbedder, Protocol):
    """Images and texts as unit vectors of one embedding space (CLIP, arXiv 2103.00020)."""

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Texts to unit vectors [B, D]."""
        ...

    @property
    def scale(self) -> float:
        """The learnt temperature: logits are scale x cosine."""
        ...
