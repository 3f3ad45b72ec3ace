"""What the families with a transformer share: rectified flow, prompts as chats, LoRAs on its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from packshot.models.checkpoint import Checkpoint
from packshot.models.diffusion_model import DiffusionModel, linear_names
from packshot.models.noise_schedules import FlowMatchSchedule
from packshot.types import TargetModules

LARGE_RECIPE: Mapping[str, Any] = {
    "effective_batch_size": 1,
    "exposures": {"5": 500, "15": 1000, "40": 2000},
}
"""Where the usual recipe is another for transformers of billions of parameters."""
Scopes = Mapping[TargetModules, tuple[tuple[str, ...], tuple[str, ...]]]
"""By scope how names of Linear modules end, and how they begin."""
ATTENTION = (
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0",
    "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out",
)  # fmt: skip
"""Of a block of diffusers' that picture and text go through side by side."""


class TransformerModel(DiffusionModel):
    """What the families with a transformer share; see `DiffusionModel` for each member."""

    schedule: FlowMatchSchedule
    scopes: Scopes
    """The modules of each scope of LoRAs."""
    token_side = 2
    """Latents a token's side."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        self.transformer = self._denoiser
        self.native_pixels = self.trained_pixels()
        self.pixel_multiple = 2 * self.vae_factor

    def trained_pixels(self) -> int:
        """The side of the square pictures that it was trained on, as its autoencoder says."""
        return int(self.vae.config.sample_size)

    def make_schedule(self, config: dict[str, Any], checkpoint: Checkpoint) -> FlowMatchSchedule:
        return FlowMatchSchedule(config | checkpoint.schedule_hints, patch=self.token_side)

    def lora_targets(self, scope: TargetModules) -> list[str]:
        return linear_names(self.transformer, *self.scopes[scope])

    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        return {"guidance_scale": guidance_scale, "negative_prompt": negative_prompts}

    def build_pipeline(self, pipeline: Any, **settings: Any) -> Any:
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
