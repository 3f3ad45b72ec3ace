"""What a family of checkpoints must be able to do, and nothing more.

A family is one file in this folder plus one line in the registry (`__init__.py`). The training
loop, the planner and the shots know only this protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from packshot.bases.schedules import Schedule
from packshot.terms import Scope, Storage

Conditioning = dict[str, Tensor]
"""What the denoiser is told of the prompts; each tensor's first dimension is the batch."""


@dataclass(frozen=True)
class Shown:
    """What part of a picture is trained on, (width, height) or (left, upper) in pixels."""

    original: tuple[int, int]
    """The picture's own size."""
    crop: tuple[int, int]
    """The upper left corner of what is kept, after the picture was made smaller."""
    size: tuple[int, int]
    """What is kept."""


@dataclass(frozen=True)
class Sampler:
    """How a checkpoint makes pictures when nothing else is asked for."""

    name: str
    """As web UIs call it."""
    steps: int
    guidance_scale: float


class Base(Protocol):
    """A loaded checkpoint of one family, frozen, on one device and in one dtype.

    Latents are those that the denoiser sees: encoded, shifted and scaled.
    """

    family: str
    """Registry name, such as "sd1"."""
    name: str
    """What to call it: the folder's or file's name."""
    path: Path
    content_hash: str
    """SHA-256 over the weights: the key of caches, and what a plan depends on."""
    device: torch.device
    dtype: torch.dtype
    storage: Storage
    """How the denoiser's weights lie in memory."""
    native_pixels: int
    """The side of the square pictures that it was trained on."""
    pixel_multiple: int
    """Sides of pictures must be multiples of this (VAE factor x the denoiser's down-sampling)."""
    denoiser_root: str
    """What its LoRAs call the denoiser: "unet" or "transformer"."""
    sampler: Sampler
    distilled: bool
    """Whether it needs no second pass for guidance: it is told it ("guidance" [B] in the
    conditioning), or does without."""
    inpaints: bool
    """Whether it is told the region to paint ("region" in the conditioning)."""
    kohya_original: bool
    """Whether kohya's LoRA files have the original names of the denoiser's modules."""

    @property
    def schedule(self) -> Schedule:
        """How latents are noised, and what the denoiser should say of them."""
        ...

    @property
    def denoiser(self) -> nn.Module:
        """The network that a LoRA adapts."""
        ...

    def original_modules(self) -> dict[str, list[str]]:
        """Linear and Conv2d modules as original files name them, with our names of each.

        Several where the original stacks their rows in one module, in order.
        """
        ...

    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        """The pipeline's arguments for guidance."""
        ...

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        """By their kohya prefix's noun ("text_encoder")."""
        ...

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [-1, 1] to latents [B, C, h, w]: the posterior's mean."""
        ...

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W] in [-1, 1]."""
        ...

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Prompts to what `predict` takes."""
        ...

    def empty_conditioning(self, count: int) -> Conditioning:
        """What `count` of the longest prompts would be encoded to, but zero: for its shape."""
        ...

    def with_sizes(self, conditioning: Conditioning, shown: Sequence[Shown]) -> Conditioning:
        """The conditioning [B] of pictures with what the family is told of their sizes, if it is."""
        ...

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's output for noisy latents [B, C, h, w]."""
        ...

    def encoders_on(
        self, device: torch.device, *, text: bool = True
    ) -> AbstractContextManager[None]:
        """Keep the autoencoder and, unless not, text encoders on a device while the block runs."""
        ...

    def checkpointed(self, on: bool = True) -> AbstractContextManager[None]:
        """Let the denoiser forget what its blocks computed, and compute it again for gradients.

        (Chen et al. 2016, arXiv 1604.06174.) Memory of activations for about a third more time.
        """
        ...

    def lora_targets(self, scope: Scope) -> list[str]:
        """Dotted names of the denoiser's Linear and Conv2d modules that `scope` covers, sorted."""
        ...

    def text_targets(self) -> dict[str, list[str]]:
        """By text encoder its modules that a LoRA adapts, sorted; empty where none is trained.

        Where there are any, `encode_prompts` is differentiable.

        Raises:
            CheckpointRefused: they have no room on the device beside the denoiser.
        """
        ...

    def pipeline(self) -> Any:
        """A diffusers text-to-image pipeline over the same modules (no copy, no safety checker)."""
        ...

    def clip_similarity(self) -> ClipSimilarity | None:
        """Image and text towers in one space, where the checkpoint carries them; else None."""
        ...


class ClipSimilarity(Protocol):
    """Pictures and texts as unit vectors of one space (CLIP, arXiv 2103.00020)."""

    name: str

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [-1, 1] (any size) to unit vectors [B, D]."""
        ...

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Texts to unit vectors [B, D]."""
        ...

    @property
    def scale(self) -> float:
        """The learnt temperature: logits are scale x cosine."""
        ...
