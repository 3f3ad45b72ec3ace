"""Base class of the families with a transformer: rectified flow, chat prompts, LoRA targets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from packshot.models.checkpoint import Checkpoint
from packshot.models.diffusion_model import DiffusionModel, linear_names
from packshot.models.key_mapping import KeyMapping
from packshot.models.noise_schedules import FlowMatchSchedule
from packshot.types import TargetModules

LARGE_RECIPE: Mapping[str, Any] = {
    "effective_batch_size": 1,
    "exposures": {"5": 600, "15": 1200, "40": 2000},
}
"""Overrides of the usual recipe for transformers of ten billion parameters or more."""
Scopes = Mapping[TargetModules, tuple[tuple[str, ...], tuple[str, ...]]]
"""For each scope the endings and the beginnings of the Linear modules' names."""
ATTENTION = (
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0",
    "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out",
)  # fmt: skip
"""The attention modules of a diffusers joint block (image and text streams)."""


class TransformerModel(DiffusionModel):
    """Base class of the families with a transformer; members as in `DiffusionModel`."""

    schedule: FlowMatchSchedule
    scopes: Scopes
    """The modules that a LoRA adapts in each scope."""
    token_side = 2
    """Latent pixels along a token's side."""
    training_shift: float | None = None
    """See `FlowMatchSchedule`; where the root of the checkpoint's own shift is not what is known best."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        self.transformer = self._denoiser
        self.native_pixels = self.trained_pixels()
        self.pixel_multiple = 2 * self.vae_factor

    def trained_pixels(self) -> int:
        """The side in pixels of the square images it was trained on, by its VAE's configuration."""
        return int(self.vae.config.sample_size)

    def make_schedule(self, config: dict[str, Any], checkpoint: Checkpoint) -> FlowMatchSchedule:
        return FlowMatchSchedule(
            config | checkpoint.schedule_hints,
            patch=self.token_side,
            training_shift=self.training_shift,
        )

    def key_mapping(self) -> KeyMapping:
        """How original names become diffusers'; here they are the same."""
        return KeyMapping({}, {})

    def original_modules(self) -> dict[str, list[str]]:
        return self.key_mapping().modules(self.transformer)

    def swapped_modules(self) -> Collection[str]:
        return self.key_mapping().scale_shift_swapped

    def lora_targets(self, scope: TargetModules) -> list[str]:
        return linear_names(self.transformer, *self.scopes[scope])

    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        return {"guidance_scale": guidance_scale, "negative_prompt": negative_prompts}

    def solver(self) -> Any:
        """Euler's steps of the flow."""
        from diffusers import FlowMatchEulerDiscreteScheduler

        return FlowMatchEulerDiscreteScheduler.from_config(self.schedule.config)

    def timestep_settings(
        self, config: Mapping[str, Any], steps: int, height: int, width: int
    ) -> dict[str, Any]:
        """Evenly spaced sigmas, which the scheduler shifts, by `mu` if by the resolution."""
        tokens = (height // self.token_side) * (width // self.token_side)
        sigmas = np.linspace(1.0, 1 / steps, steps)
        return {"sigmas": sigmas, "mu": self.resolution_shift(config, steps, tokens)}

    def resolution_shift(self, config: Mapping[str, Any], steps: int, tokens: int) -> float:
        """`mu`, the logarithm of the shift for an image of this number of tokens."""
        from diffusers.pipelines.flux.pipeline_flux import calculate_shift

        return float(
            calculate_shift(
                tokens,
                config.get("base_image_seq_len", 256),
                config.get("max_image_seq_len", 4096),
                config.get("base_shift", 0.5),
                config.get("max_shift", 1.15),
            )
        )

    def build_pipeline(self, pipeline: Any, **settings: Any) -> Any:
        """A diffusers pipeline of this class over the model's networks, with Euler flow steps."""
        built = pipeline(
            scheduler=self.solver(),
            vae=self.vae,
            transformer=self.denoiser,
            **self.text_encoders,
            **self.tokenizers,
            **settings,
        )
        built.set_progress_bar_config(disable=True)
        return built


def as_turn(tokenizer: Any, prompt: str, *, thinking: bool) -> str:
    """A prompt as a user's turn in the checkpoint's chat template."""
    turn: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        tokenize=False, add_generation_prompt=True, enable_thinking=thinking,
    )  # fmt: skip
    return turn


def chat_tokens(
    tokenizer: Any, prompts: list[str], length: int, *, thinking: bool
) -> tuple[Tensor, Tensor]:
    """Prompts as a user's turns in the checkpoint's chat template: ids and mask [B, length]."""
    turns = [as_turn(tokenizer, prompt, thinking=thinking) for prompt in prompts]
    tokens = tokenizer(
        turns, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    return tokens.input_ids, tokens.attention_mask
