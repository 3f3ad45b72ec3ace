"""What all families share: their parts loaded, pictures to latents and back, prompts to tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from packshot.bases.base import ClipSimilarity, Conditioning, Sampler, Shown
from packshot.bases.checkpoint import Checkpoint
from packshot.bases.parts import Configs, Tensors, load_parts
from packshot.bases.schedules import Schedule
from packshot.bases.storage import store, weight_bytes
from packshot.bases.turns import room_for_weights, take_turns
from packshot.terms import Storage

CLIP_TOKENS = 77


class LatentBase:
    """See `packshot.bases.base.Base` for each member."""

    family: str
    denoiser_root: str
    kohya_original: bool
    sampler: Sampler
    native_pixels: int
    distilled = False
    inpaints = False
    beside: Mapping[str, str] = {}
    """See `packshot.bases.parts.SingleFile`."""
    _takes_turns = False

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        dtype: torch.dtype,
        storage: Storage = "plain",
    ) -> None:
        self.path, self.content_hash = checkpoint.path, checkpoint.content_hash
        self.name = checkpoint.name
        self.device, self.dtype, self.storage = device, dtype, storage
        parts = load_parts(checkpoint, self, dtype)
        self._denoiser, self.vae = parts.networks.pop(self.denoiser_root), parts.networks.pop("vae")
        self.vae_factor = _vae_factor(self.vae)
        self.text_encoders: dict[str, Any] = parts.networks
        if not checkpoint.sketched:
            self._settle()
        self.tokenizers = parts.tokenizers
        self.schedule = self.make_schedule(parts.schedule, checkpoint)
        self._grey: dict[tuple[int, int], Tensor] = {}

    def _settle(self) -> None:
        """Networks to the device; those that do not fit it together take turns on it."""
        sizes = {encoder: weight_bytes(encoder) for encoder in self._encoders}
        denoiser = weight_bytes(self._denoiser, self.storage)
        store(self._denoiser, self.storage, self.device)
        room = room_for_weights(self.device)
        if self.storage == "offload":
            room -= denoiser
        else:
            sizes[self._denoiser] = denoiser
        self._takes_turns = sum(sizes.values()) > room
        if self._takes_turns:
            take_turns(sizes, self.device, room)
            return
        for network in sizes:
            network.to(self.device)

    @property
    def _encoders(self) -> list[Any]:
        return [self.vae, *self.text_encoders.values()]

    @staticmethod
    def split(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        """See `packshot.bases.parts.SingleFile`."""
        raise NotImplementedError

    @staticmethod
    def fitted(tensors: Tensors, configs: Configs) -> Configs:
        """See `packshot.bases.parts.SingleFile`; most files are as their family is."""
        return configs

    def make_schedule(self, config: dict[str, Any], checkpoint: Checkpoint) -> Schedule:
        """The family's schedule from the checkpoint's configuration of it."""
        raise NotImplementedError

    @property
    def denoiser(self) -> Any:
        return self._denoiser

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Tensor:
        # The autoencoder may be away while a LoRA learns; taking turns, it comes by itself.
        place = self.device if self._takes_turns else self.vae.device
        latents: Tensor = self.vae.encode(pixels.to(place, self.dtype)).latent_dist.mean
        config = self.vae.config
        return (latents.to(self.device) - (config.shift_factor or 0)) * config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        latents = latents.to(self.device, self.dtype) / config.scaling_factor
        pixels: Tensor = self.vae.decode(latents + (config.shift_factor or 0)).sample.clamp(-1, 1)
        return pixels

    def region(self, noisy: Tensor, conditioning: Conditioning) -> Tensor:
        """What an inpainting base takes beside its noisy latents [B, C, h, w]: [B, 1 + C, h, w].

        1 where to paint, then the latents of the picture grey there, as the conditioning's "region"
        has them. Without, all is to be painted: so it learns and makes pictures.
        """
        told = conditioning.get("region")
        if told is None:
            told = self._all_of(*noisy.shape[-2:]).expand(len(noisy), -1, -1, -1)
        return told.to(noisy)

    def _all_of(self, height: int, width: int) -> Tensor:
        """The region [1, 1 + C, height, width] that is all of a picture."""
        if (height, width) not in self._grey:
            grey = torch.zeros(1, 3, height * self.vae_factor, width * self.vae_factor)
            self._grey[height, width] = self.encode_images(grey)
        latents = self._grey[height, width]
        return torch.cat([torch.ones_like(latents[:, :1]), latents], dim=1)

    def nothing_to_keep(self, count: int) -> dict[str, Any]:
        """What diffusers' inpainting pipelines are given to make whole pictures, so many at once."""
        grey, white = (Image.new("RGB", (self.native_pixels,) * 2, c) for c in ("grey", "white"))
        return {"image": [grey] * count, "mask_image": [white] * count, "strength": 1.0}

    def zeros(self, *shape: int) -> Tensor:
        """Zeros on the base's device, in its dtype."""
        return torch.zeros(*shape, device=self.device, dtype=self.dtype)

    def tokens(self, tokenizer: str, prompts: list[str], length: int = CLIP_TOKENS) -> Tensor:
        """Token ids [B, length] of one tokenizer, on the device; a sketch, which has none, gives zeros."""
        if tokenizer not in self.tokenizers:
            return torch.zeros(len(prompts), length, dtype=torch.long, device=self.device)
        tokens = self.tokenizers[tokenizer](
            prompts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        ids: Tensor = tokens.input_ids.to(self.device)
        return ids

    def with_sizes(self, conditioning: Conditioning, shown: Sequence[Shown]) -> Conditioning:
        """As it is: most are not told of sizes."""
        return conditioning

    @contextmanager
    def encoders_on(self, device: torch.device, *, text: bool = True) -> Iterator[None]:
        if self._takes_turns:  # they leave by themselves
            yield
            return
        moved = self._encoders if text else [self.vae]
        before = [next(encoder.parameters()).device for encoder in moved]
        try:
            for encoder in moved:
                encoder.to(device)
            yield
        finally:
            for encoder, there in zip(moved, before, strict=True):
                encoder.to(there)

    @contextmanager
    def checkpointed(self, on: bool = True) -> Iterator[None]:
        if not on:
            yield
            return
        self.denoiser.enable_gradient_checkpointing()
        try:
            yield
        finally:
            self.denoiser.disable_gradient_checkpointing()

    def text_targets(self) -> dict[str, list[str]]:
        return {}

    def clip_similarity(self) -> ClipSimilarity | None:
        return None

    def assembled(self, pipeline: Any, **settings: Any) -> Any:
        """A diffusers pipeline of a class that takes the usual parts, with Euler steps of a flow."""
        from diffusers import FlowMatchEulerDiscreteScheduler

        made = pipeline(
            scheduler=FlowMatchEulerDiscreteScheduler.from_config(self.schedule.config),
            vae=self.vae,
            transformer=self.denoiser,
            **self.text_encoders,
            **self.tokenizers,
            **settings,
        )
        made.set_progress_bar_config(disable=True)
        return made


def _vae_factor(vae: Any) -> int:
    """Pixels a latent's side."""
    if hasattr(vae.config, "temperal_downsample"):  # a video autoencoder's, misspelt there
        return int(2 ** len(vae.config.temperal_downsample))
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def chat_tokens(
    tokenizer: Any, prompts: list[str], length: int, *, thinking: bool
) -> tuple[Tensor, Tensor]:
    """Prompts as a user's turns in a chat: ids and mask [B, length], in the checkpoint's template."""
    turns = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False, add_generation_prompt=True, enable_thinking=thinking,
        )
        for prompt in prompts
    ]  # fmt: skip
    tokens = tokenizer(
        turns, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    return tokens.input_ids, tokens.attention_mask


def linear_names(
    network: nn.Module, endings: tuple[str, ...], within: tuple[str, ...]
) -> list[str]:
    """Names of Linear modules that end in one of `endings` and begin with one of `within`, sorted."""
    return sorted(
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.endswith(endings) and name.startswith(within)
    )
