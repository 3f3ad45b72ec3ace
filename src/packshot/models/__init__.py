"""Base models: the interface of a family, the families, and loading a checkpoint safely."""

from packshot.models.conditioning import Conditioning
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.embedder import ClipSimilarity
from packshot.models.load import (
    best_device,
    checkpoint_path,
    find_checkpoint,
    has_clip,
    kept_base,
    load_base,
    set_kept_aside,
)
from packshot.models.precision import best_dtype

__all__ = [
    "ClipSimilarity",
    "Conditioning",
    "DiffusionModel",
    "best_device",
    "best_dtype",
    "checkpoint_path",
    "find_checkpoint",
    "has_clip",
    "kept_base",
    "load_base",
    "set_kept_aside",
]
