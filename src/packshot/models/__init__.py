"""Base models: what a family must do, which families there are, and loading one safely."""

from packshot.models.diffusion_model import Base, ClipSimilarity, Conditioning
from packshot.models.load import (
    best_device,
    best_dtype,
    carries_clip,
    find_checkpoint,
    load_base,
    located,
)

__all__ = [
    "Base",
    "ClipSimilarity",
    "Conditioning",
    "best_device",
    "best_dtype",
    "carries_clip",
    "find_checkpoint",
    "load_base",
    "located",
]
