"""The interface of a model family, `DiffusionModel`, and what all families share.

A family is one file in this folder, with its `FamilySpec`, plus one line in `registry.py`. The
training loop, the planner and image generation know only the class `DiffusionModel`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from packshot.models import registry
from packshot.models.checkpoint import Checkpoint
from packshot.models.components import Configs, Tensors, load_components
from packshot.models.conditioning import Conditioning, SizeConditioning
from packshot.models.device_memory import release_unused, weight_memory_budget
from packshot.models.embedder import ClipSimilarity
from packshot.models.model_offload import bring, offload_models
from packshot.models.noise_schedules import NoiseSchedule
from packshot.models.precision import keep_in_fp32, vae_dtype
from packshot.models.weight_storage import STORAGES, apply_weight_storage, weight_bytes
from packshot.types import TargetModules, WeightStorage

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline, ModelMixin
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CLIP_TOKENS = 77


@dataclass(frozen=True)
class SamplingDefaults:
    """A checkpoint's default sampler, number of steps and guidance scale."""

    name: str
    """As web UIs call it."""
    steps: int
    guidance_scale: float


_WORD_BEGINS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FEW_STEPS = re.compile(
    r"(?<![a-z])(turbo(?! charged)|lightning|hyper(?! real)|lcm|dmd2?|tcd|schnell)(?![a-z])"
)


def is_called_few_step(name: str) -> bool:
    """Whether a checkpoint's name says that it does with a few steps.

    By whole words, also of names such as "modelXL_v21TurboDPMSDE".
    """
    return _FEW_STEPS.search(_WORD_BEGINS.sub(" ", name).lower()) is not None


class DiffusionModel(ABC):
    """A loaded checkpoint of one family, frozen, on one device and in one dtype.

    Latents are the denoiser's inputs: encoded by the VAE, shifted and scaled.

    Args:
        checkpoint: validated, and of this family.
        storage: precision or offload of the denoiser's weights.

    Raises:
        ModelLoadError: weights are missing or do not fit, or a configuration cannot be read.
    """

    family: str
    """The name of its spec in the registry, such as "sd1"."""
    name: str
    """Its name in messages and records: the folder's or file's name."""
    path: Path
    content_hash: str
    """SHA-256 over the weights: the key of caches, and what a plan depends on."""
    device: torch.device
    dtype: torch.dtype
    """The denoiser's and the text encoders'."""
    vae_dtype: torch.dtype
    """The VAE's: see `packshot.models.precision.vae_dtype`."""
    weight_storage: WeightStorage
    """How the denoiser's weights lie in memory."""
    bytes_by_storage: Mapping[WeightStorage, int]
    """Of the denoiser's weights on the device, as each storage would have them."""
    vae: ModelMixin
    """The autoencoder, of diffusers."""
    vae_factor: int
    """Pixels a latent's side, of the autoencoder's own latents."""
    text_encoders: dict[str, PreTrainedModel]
    """By their kohya prefix's noun ("text_encoder")."""
    tokenizers: dict[str, PreTrainedTokenizerBase]
    """By the noun "tokenizer" and their encoder's number; a sketch has none."""
    schedule: NoiseSchedule
    """How latents are noised, and what the denoiser should say of them."""
    native_pixels: int
    """The side of the square pictures that it was trained on."""
    pixel_multiple: int
    """Sides of pictures must be multiples of this (VAE factor x the denoiser's down-sampling)."""
    denoiser_root: str
    """What its LoRAs call the denoiser: "unet" or "transformer"."""
    sampler: SamplingDefaults
    unguided_scale: float = 1.0
    """The largest guidance scale without classifier-free guidance, as its pipeline has it."""
    is_guidance_distilled: bool = False
    """Whether it needs no second pass for guidance: it is told it ("guidance" [B] in the
    conditioning), or does without."""
    is_step_distilled: bool = False
    """Whether it was taught to do with a few steps (Turbo, schnell), which direct training undoes."""
    is_inpainting: bool = False
    """Whether it is told the region to paint ("region" in the conditioning)."""
    kohya_uses_original_keys: bool
    """Whether kohya's LoRA files have the original names of the denoiser's modules."""
    kohya_prefix: str
    """What the denoiser's keys begin with there; after a dot, names keep theirs."""
    extra_keys: Mapping[str, str] = {}
    """By component, a pattern of how names begin that single files hold beside it; of a component
    that is not in it, all are passed over."""
    _has_model_offload = False

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        dtype: torch.dtype,
        storage: WeightStorage = "full",
    ) -> None:
        self.family, self.name = checkpoint.family, checkpoint.name
        spec = registry.families()[self.family]
        self.denoiser_root, self.kohya_prefix = spec.denoiser_root, spec.kohya_prefix
        self.kohya_uses_original_keys = spec.kohya_uses_original_keys
        self.path, self.content_hash = checkpoint.path, checkpoint.content_hash
        self.device, self.dtype, self.weight_storage = device, dtype, storage
        parts = load_components(checkpoint, self, dtype)
        self._denoiser, self.vae = parts.networks.pop(self.denoiser_root), parts.networks.pop("vae")
        self.vae_factor = _vae_factor(self.vae)
        self.vae.enable_slicing()  # several pictures at once would take gigabytes each
        self.vae_dtype = vae_dtype(self.vae.config, dtype)
        if self.vae_dtype != dtype:
            keep_in_fp32(self.vae)
        self.text_encoders = parts.networks
        self.bytes_by_storage = {one: weight_bytes(self._denoiser, one) for one in STORAGES}
        if not checkpoint.shapes_only:
            self._place_on_device()
        self.tokenizers = parts.tokenizers
        self.schedule = self.make_schedule(parts.schedule, checkpoint)
        self._grey: dict[tuple[int, int], Tensor] = {}

    def _place_on_device(self) -> None:
        """Move the networks to the device; with model offload if they do not fit it together."""
        sizes = {encoder: weight_bytes(encoder) for encoder in self._encoders}
        denoiser = self.bytes_by_storage[self.weight_storage]
        room = weight_memory_budget(self.device)  # before anything lies there
        apply_weight_storage(self._denoiser, self.weight_storage, self.device)
        if self.weight_storage == "offload":
            room -= denoiser
        else:
            sizes[self._denoiser] = denoiser
        self._has_model_offload = sum(sizes.values()) > room
        if self._has_model_offload:
            if self._denoiser in sizes:
                self._denoiser.to("cpu")  # what is quantised lies on the device by now
            offload_models(sizes, self.device, room, always=[self._denoiser, self.vae])
            return
        for network in sizes:
            network.to(self.device)

    def take_turns(self) -> bool:
        """Have each network on the GPU only while it computes, from here on.

        Returns:
            Whether that is new. It is not done while text encoders learn: they compute with the denoiser.
        """
        learns = (
            one.requires_grad for net in self.text_encoders.values() for one in net.parameters()
        )
        if self._has_model_offload or self.device.type != "cuda" or any(learns):
            return False
        self.leave_device()
        room = weight_memory_budget(self.device)
        sizes = {network: weight_bytes(network) for network in self._movable}
        offload_models(sizes, self.device, room, always=[self._denoiser, self.vae])
        self._has_model_offload = True
        return True

    def leave_device(self) -> None:
        """Have all that moves whole wait in main memory; see `return_to_device`."""
        for network in self._movable:
            network.to("cpu")
        self._grey.clear()
        release_unused(self.device)

    def return_to_device(self) -> None:
        """Have it where it was loaded to. Networks that take turns come when they compute."""
        if not self._has_model_offload:
            for network in self._movable:
                network.to(self.device)

    def make_room(self) -> None:
        """Leave the GPU to another base, and come back by turns as it is used."""
        if self.take_turns() or self._has_model_offload:
            self.leave_device()

    def bring_denoiser(self) -> None:
        """Have the denoiser, with the LoRA in it, where it computes; for what else must lie there."""
        bring(self._denoiser)

    @property
    def vae_place(self) -> torch.device:
        """Where the VAE wants its input: it may be off the GPU, unless its hook moves it."""
        return self.device if self._has_model_offload else next(self.vae.parameters()).device

    @property
    def _encoders(self) -> list[Any]:
        return [self.vae, *self.text_encoders.values()]

    @property
    def _movable(self) -> list[Any]:
        """The networks that lie in one place: with offload the denoiser lies in two."""
        return self._encoders + [self._denoiser] * (self.weight_storage != "offload")

    @staticmethod
    @abstractmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        """Each component's tensors under diffusers' names, from a single file's original names."""

    @staticmethod
    def infer_configs(tensors: Tensors, configs: Configs) -> Configs:
        """The family's configurations with the sizes (layers, width) of this file's tensors."""
        return configs

    @abstractmethod
    def make_schedule(self, config: dict[str, Any], checkpoint: Checkpoint) -> NoiseSchedule:
        """The family's noise schedule from the checkpoint's scheduler configuration."""

    @property
    def denoiser(self) -> nn.Module:
        """The network that a LoRA adapts."""
        denoiser: nn.Module = self._denoiser
        return denoiser

    @abstractmethod
    def original_modules(self) -> dict[str, list[str]]:
        """Original names of the Linear and Conv2d modules, each with its diffusers names.

        Several, in order, where the original module stacks their rows (queries, keys, values).
        """

    def swapped_modules(self) -> Collection[str]:
        """diffusers names of modules whose output is scale and shift, where originals have shift first."""
        return ()

    def other_modules(self) -> dict[str, list[str]]:
        """As `original_modules`, by names that other programs alone give them: to read, not to write."""
        return {}

    @abstractmethod
    def lora_targets(self, scope: TargetModules) -> list[str]:
        """Dotted names of the denoiser's Linear and Conv2d modules that `scope` covers, sorted."""

    def text_targets(self) -> dict[str, list[str]]:
        """Each text encoder's modules that a LoRA adapts, sorted; empty where none can be trained.

        Where there are any, `encode_prompts` is differentiable.

        Raises:
            ModelLoadError: the text encoders do not fit the device together with the denoiser.
        """
        return {}

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] to latents [B, C, h, w]: the posterior's mean."""
        latents: Tensor = self.vae.encode(
            pixels.to(self.vae_place, self.vae_dtype)
        ).latent_dist.mean
        config = self.vae.config
        return (latents.to(self.device) - (config.shift_factor or 0)) * config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to images [B, 3, H, W] in [-1, 1]."""
        config = self.vae.config
        latents = latents.to(self.device, self.vae_dtype) / config.scaling_factor
        pixels: Tensor = self.vae.decode(latents + (config.shift_factor or 0)).sample.clamp(-1, 1)
        return pixels

    @abstractmethod
    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """The prompts' embeddings, as `predict` takes them."""

    @property
    def prompt_limit(self) -> tuple[str, int]:
        """The tokenizer whose encoder reads most of a prompt, and the tokens that it reads.

        Those before the prompt count, too, and a token that ends it.
        """
        return "tokenizer", CLIP_TOKENS

    def prompt_in_template(self, prompt: str) -> str:
        """A prompt as that tokenizer is given it."""
        return prompt

    @abstractmethod
    def empty_conditioning(self, count: int) -> Conditioning:
        """Zeros in the shape of the embeddings of `count` prompts of the greatest length."""

    def add_size_conditioning(
        self, conditioning: Conditioning, sizes: Sequence[SizeConditioning]
    ) -> Conditioning:
        """The conditioning [B] with the images' sizes added, in families that use them (SDXL)."""
        return conditioning

    @abstractmethod
    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's output [B, C, h, w] for noisy latents [B, C, h, w] at timesteps [B]."""

    @abstractmethod
    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        """The pipeline's keyword arguments for guidance scale and negative prompts."""

    def count_passes(self, guidance_scale: float) -> int:
        """The denoiser's passes in a step of inference: 2 with classifier-free guidance."""
        return 1 if self.is_guidance_distilled or guidance_scale <= self.unguided_scale else 2

    def counting_guidance(self, guidance_scale: float) -> float:
        """The guidance scale with which pictures are made where this one is asked for."""
        return guidance_scale

    def takes_negative_prompt(self, guidance_scale: float) -> bool:
        """Whether a negative prompt counts at this guidance scale."""
        takes_one = "negative_prompt" in self.sampling(guidance_scale, [""])
        return takes_one and self.count_passes(guidance_scale) > 1

    def guide(self, conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
        """Two predictions [B, C, h, w] combined as the pipeline does (arXiv 2207.12598)."""
        return unconditional + guidance_scale * (conditional - unconditional)

    @abstractmethod
    def solver(self) -> Any:
        """A new scheduler of its pipeline, of diffusers."""

    def inference_scheduler(self, steps: int, height: int, width: int) -> Any:
        """The solver with the timesteps that the pipeline gives it for latents [B, C, height, width]."""
        scheduler = self.solver()
        told = self.timestep_settings(scheduler.config, steps, height, width)
        scheduler.set_timesteps(device=self.device, **told)
        return scheduler

    def timestep_settings(
        self, config: Mapping[str, Any], steps: int, height: int, width: int
    ) -> dict[str, Any]:
        """What the pipeline sets the timesteps by, for latents [B, C, height, width]."""
        return {"num_inference_steps": steps}

    @abstractmethod
    def pipeline(self) -> DiffusionPipeline:
        """A diffusers text-to-image pipeline over the same modules (no copy, no safety checker)."""

    def clip_similarity(self) -> ClipSimilarity | None:
        """The checkpoint's CLIP image and text towers; None if it has none."""
        return None

    @contextmanager
    def encoders_moved_to(self, device: torch.device, *, text: bool = True) -> Iterator[None]:
        """Move the VAE (and the text encoders, unless `text` is False) to a device inside the block."""
        if self._has_model_offload:  # its hooks move them
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
                if not self._has_model_offload:  # nor since
                    encoder.to(there)

    @contextmanager
    def gradient_checkpointing(self, on: bool = True) -> Iterator[None]:
        """Gradient checkpointing of the denoiser's blocks inside the block (arXiv 1604.06174).

        Activations are recomputed in the backward pass: less memory, about a third more time. With
        offload every block is recomputed anyway; checkpoints within it would find no weights.
        """
        if not on or self.weight_storage == "offload":
            yield
            return
        self._denoiser.enable_gradient_checkpointing()
        try:
            yield
        finally:
            self._denoiser.disable_gradient_checkpointing()

    def inpaint_channels(self, noisy: Tensor, conditioning: Conditioning) -> Tensor:
        """Mask and masked-image latents [B, 1 + C, h, w] for noisy latents [B, C, h, w].

        From the conditioning's "region"; without it the mask is 1 everywhere, as in training and
        in text-to-image generation.
        """
        region = conditioning.get("region")
        if region is None:
            region = self._full_mask(*noisy.shape[-2:]).expand(len(noisy), -1, -1, -1)
        return region.to(noisy)

    def _full_mask(self, height: int, width: int) -> Tensor:
        """A mask of ones and the latents of a grey image, [1, 1 + C, height, width]."""
        if (height, width) not in self._grey:
            grey = torch.zeros(1, 3, height * self.vae_factor, width * self.vae_factor)
            self._grey[height, width] = self.encode_images(grey)
        latents = self._grey[height, width]
        return torch.cat([torch.ones_like(latents[:, :1]), latents], dim=1)

    def nothing_to_keep(self, count: int) -> dict[str, Any]:
        """Arguments with which diffusers' inpainting pipelines generate `count` whole images."""
        grey, white = (Image.new("RGB", (self.native_pixels,) * 2, c) for c in ("grey", "white"))
        return {"image": [grey] * count, "mask_image": [white] * count, "strength": 1.0}

    def zeros(self, *shape: int) -> Tensor:
        """Zeros on the base's device, in its dtype."""
        return torch.zeros(*shape, device=self.device, dtype=self.dtype)

    def tokens(self, tokenizer: str, prompts: list[str], length: int = CLIP_TOKENS) -> Tensor:
        """Token ids [B, length] of one tokenizer, on the device; zeros in a fake model without it."""
        if tokenizer not in self.tokenizers:
            return torch.zeros(len(prompts), length, dtype=torch.long, device=self.device)
        tokens = self.tokenizers[tokenizer](
            prompts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        ids: Tensor = tokens.input_ids.to(self.device)
        return ids


def _vae_factor(vae: Any) -> int:
    """Image pixels per latent pixel, along one side."""
    if hasattr(vae.config, "temperal_downsample"):  # a video VAE's, misspelt there
        return int(2 ** len(vae.config.temperal_downsample))
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def linear_names(
    network: nn.Module, endings: tuple[str, ...], within: tuple[str, ...]
) -> list[str]:
    """Names of Linear modules that end in one of `endings` and begin with one of `within`, sorted."""
    return sorted(
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.endswith(endings) and name.startswith(within)
    )
