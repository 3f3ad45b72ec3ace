"""Checkpoints: what a family must do, which families there are, and loading one safely."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from packshot.bases.base import Base, ClipSimilarity, Conditioning, Scope
from packshot.bases.checkpoint import POCKET, Checkpoint, judge
from packshot.bases.flux import Flux1
from packshot.bases.flux2 import Flux2Klein
from packshot.bases.hub import fetched, is_hub_id
from packshot.bases.qwen_image import QwenImage
from packshot.bases.sd3 import StableDiffusion3
from packshot.bases.sdxl import StableDiffusionXL
from packshot.bases.stable_diffusion import StableDiffusion1, StableDiffusion2
from packshot.bases.z_image import ZImage
from packshot.errors import CheckpointRefused

Family = Callable[[Checkpoint, torch.device, torch.dtype], Base]
FAMILIES: dict[str, Family] = {
    "sd1": StableDiffusion1,
    "sd2": StableDiffusion2,
    "sdxl": StableDiffusionXL,
    "sd3": StableDiffusion3,
    "flux1": Flux1,
    "flux2": Flux2Klein,
    "qwen_image": QwenImage,
    "z_image": ZImage,
}


def load_base(
    path: str | Path, *, device: str | None = None, dtype: torch.dtype | None = None
) -> Base:
    """Load a checkpoint, frozen: a diffusers folder, a single file, a hub's OWNER/NAME, or "pocket".

    By default it goes where this machine computes fastest, in bf16 if that is fast there.

    Raises:
        CheckpointRefused: not there, a pickle, damaged, or of a family that is not known.
    """
    if str(path) == "pocket":
        path = POCKET
        if not (POCKET / "model_index.json").is_file():
            raise CheckpointRefused(
                f"The bundled base is not in {POCKET}. Install a released Packshot, or make it: "
                "packshot-world render, then packshot-pretrain all (see CONTRIBUTING.md)."
            )
    if not Path(path).exists() and is_hub_id(str(path)):
        path = fetched(str(path))
    checkpoint = judge(Path(path))
    place = torch.device(device or best_device())
    return FAMILIES[checkpoint.family](checkpoint, place, dtype or best_dtype(place))


def best_device() -> str:
    """ "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the machine multiplies in it, else fp32; never fp16, whose range training leaves."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # oneDNN also claims bf16 where it only emulates it (AVX-512 without its bf16 part): slower.
        computes = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        fast = device.type == "cpu" and computes
    return torch.bfloat16 if fast else torch.float32


__all__ = [
    "Base",
    "ClipSimilarity",
    "Conditioning",
    "Scope",
    "best_device",
    "best_dtype",
    "load_base",
]
