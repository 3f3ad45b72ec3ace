"""Latents of all images and their mirror images, of zero mean and unit variance per channel."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from packshot.errors import PackshotError
from packshot.utils import files
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import Pixels, open_packed, to_tensor
from packshot_pocket.pretrain.optim import for_computing
from packshot_pocket.pretrain.vae import VaeConfig, fold_statistics, load_vae

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

_BATCH = 32


def encode_all(folder: Path, config: VaeConfig) -> None:
    """Write `latents.npy`, fp16 [2N, C, 16, 16]: the packed pictures, then their mirror images.

    The statistics of the training pictures are taken out and kept beside it, for `folded_vae`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = open_packed(folder)
    vae: Any = for_computing(load_vae(folder, config), device)
    started, parts, count = time.monotonic(), [], len(pictures.pixels)
    for mirrored in (False, True):
        for start in range(0, count, _BATCH):
            pixels = pictures.pixels[start : start + _BATCH]
            parts.append(_encode(vae, pixels[:, :, ::-1] if mirrored else pixels))
        pace = len(parts) * _BATCH / (time.monotonic() - started)
        print(f"[latents] {count} images, {pace:.0f} a second", file=sys.stderr, flush=True)
    latents = torch.cat(parts)
    training = latents[torch.from_numpy(pictures.training)]
    mean, deviation = training.mean(dim=(0, 2, 3)), training.std(dim=(0, 2, 3))
    latents = (latents - mean[:, None, None]) / deviation[:, None, None]
    state.save_array(folder / "latents.npy", latents.half().numpy())
    step = torch.tensor(state.step(folder, "vae"))
    files.write_safetensors(
        folder / "statistics.safetensors",
        {"mean": mean, "deviation": deviation, "vae_step": step},
    )


@torch.no_grad()
def _encode(vae: AutoencoderKL, pixels: Pixels) -> Tensor:
    pictures = to_tensor(pixels).to(vae.device, vae.dtype)
    return vae.encode(pictures).latent_dist.mean.float().cpu()


def open_latents(folder: Path) -> np.ndarray[Any, Any]:
    """The latents of `encode_all`, memory-mapped.

    Raises:
        PackshotError: `latents` has not run.
    """
    return state.open_array(folder / "latents.npy", "latents")


def folded_vae(folder: Path, config: VaeConfig) -> AutoencoderKL:
    """The trained autoencoder in fp32, whose latents have zero mean and unit variance.

    Raises:
        PackshotError: the latents are not there, or older than the autoencoder.
    """
    from safetensors.torch import load_file

    vae = load_vae(folder, config)
    if not (folder / "statistics.safetensors").exists():
        raise PackshotError(f"No latents in {folder}; run the stage 'latents' first.")
    statistics = load_file(folder / "statistics.safetensors")
    if int(statistics["vae_step"]) != state.step(folder, "vae"):
        raise PackshotError(
            f"The autoencoder in {folder} has been trained on since its latents were made. "
            "Run the stage 'latents' again."
        )
    fold_statistics(vae, statistics["mean"], statistics["deviation"])
    return vae
