"""Stable Diffusion 3 and 3.5 (arXiv 2403.03206): a transformer of joint blocks, three text encoders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from packshot.models.checkpoint import Checkpoint
from packshot.models.companions import autoencoder, clip, t5
from packshot.models.components import Configs, Tensors
from packshot.models.conditioning import Conditioning
from packshot.models.diffusion_model import CLIP_TOKENS, SamplingDefaults, is_called_few_step
from packshot.models.family_spec import FamilySpec
from packshot.models.key_mapping import (
    KeyMapping,
    count_blocks,
    latent_parts,
    strip_prefix,
    transformer_tensors,
)
from packshot.models.transformer_model import ATTENTION, Scopes, TransformerModel

T5_TOKENS = 256
_BLOCKS = ("transformer_blocks.",)
_OWN = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")  # 3.5 medium's first blocks
_MLP = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
_SCOPES: Scopes = {
    "cross-attention": (ATTENTION, _BLOCKS),
    "attention": (ATTENTION + _OWN, _BLOCKS),
    "attention+mlp": (ATTENTION + _OWN + _MLP, _BLOCKS),
    # The modulation is left out: the last block's rows are in another order in original files.
    "all": (ATTENTION + _OWN + _MLP, _BLOCKS),
}
# Original names within a block, and ours of what is stacked in each.
_NAMES = {
    "x_block.attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "x_block.attn.proj": ["attn.to_out.0"],
    "x_block.attn2.qkv": ["attn2.to_q", "attn2.to_k", "attn2.to_v"],
    "x_block.attn2.proj": ["attn2.to_out.0"],
    "x_block.mlp.fc1": ["ff.net.0.proj"],
    "x_block.mlp.fc2": ["ff.net.2"],
    "context_block.attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "context_block.attn.proj": ["attn.to_add_out"],
    "context_block.mlp.fc1": ["ff_context.net.0.proj"],
    "context_block.mlp.fc2": ["ff_context.net.2"],
}

_NORMS = {
    "x_block.adaLN_modulation.1": ["norm1.linear"],
    "context_block.adaLN_modulation.1": ["norm1_context.linear"],
    "x_block.attn.ln_q": ["attn.norm_q"],
    "x_block.attn.ln_k": ["attn.norm_k"],
    "x_block.attn2.ln_q": ["attn2.norm_q"],
    "x_block.attn2.ln_k": ["attn2.norm_k"],
    "context_block.attn.ln_q": ["attn.norm_added_q"],
    "context_block.attn.ln_k": ["attn.norm_added_k"],
}
_OTHERS = {
    "pos_embed": "pos_embed.pos_embed",
    "x_embedder.proj": "pos_embed.proj",
    "context_embedder": "context_embedder",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}


def _layout(blocks: int) -> KeyMapping:
    """The mapping of a transformer of this many blocks, of which the last only reads the text."""
    last = f"transformer_blocks.{blocks - 1}.norm1_context.linear"
    return KeyMapping(
        blocks={"joint_blocks": ("transformer_blocks", _NAMES | _NORMS)},
        others=_OTHERS,
        scale_shift_swapped=("norm_out.linear", last),
    )


class StableDiffusion3(TransformerModel):
    """A Stable Diffusion 3 or 3.5 checkpoint."""

    scopes = _SCOPES
    sampler = SamplingDefaults("Euler", 28, 4.5)
    # What its makers advise for small trainings, and what sd-scripts takes.
    training_shift = 1.0

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        self.is_step_distilled = is_called_few_step(self.name)  # nothing else tells
        if self.is_step_distilled:
            self.sampler = SamplingDefaults("Euler", 4, 1.0)
        self.pixel_multiple = int(self.transformer.config.patch_size) * self.vae_factor

    def trained_pixels(self) -> int:
        """The side in pixels of its training images, by the transformer's configuration."""
        return int(self.transformer.config.sample_size) * self.vae_factor

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        own = transformer_tensors(tensors)
        layout = _layout(count_blocks(own, "joint_blocks"))
        clip_l = strip_prefix(tensors, "text_encoders.clip_l.transformer.")
        # Its makers take CLIP-L's text as it is; that a file has CLIP's own projection changes nothing.
        width = clip_l["text_model.final_layer_norm.weight"].shape[0]
        return {
            "transformer": layout.convert(own),
            **latent_parts(tensors, configs),
            "text_encoder": {**clip_l, "text_projection.weight": torch.eye(width)},
            "text_encoder_2": strip_prefix(tensors, "text_encoders.clip_g.transformer."),
            "text_encoder_3": strip_prefix(tensors, "text_encoders.t5xxl.transformer."),
        }

    @staticmethod
    def infer_configs(tensors: Tensors, configs: Configs) -> Configs:
        own, config = transformer_tensors(tensors), configs["transformer"]
        count, width = count_blocks(own, "joint_blocks"), own["context_embedder.weight"].shape[0]
        norms = "joint_blocks.0.x_block.attn.ln_q.weight" in own
        sizes = {
            "num_layers": count,
            "num_attention_heads": width // config["attention_head_dim"],
            "caption_projection_dim": width,
            "pos_embed_max_size": math.isqrt(own["pos_embed"].shape[1]),
            "qk_norm": "rms_norm" if norms else None,
            "dual_attention_layers": [
                n for n in range(count) if f"joint_blocks.{n}.x_block.attn2.qkv.weight" in own
            ],
        }
        return configs | {"transformer": config | sizes}

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, 77 + 256, 4096], "pooled": [B, 2048]}.

        The CLIPs' penultimate hidden states concatenated by channel, then T5's states as more tokens.
        """
        hidden, pooled = [], []
        for number in ("", "_2"):
            encoder = self.text_encoders[f"text_encoder{number}"]
            output = encoder(self.tokens(f"tokenizer{number}", prompts), output_hidden_states=True)
            hidden.append(output.hidden_states[-2])
            pooled.append(output[0])
        clips = torch.cat(hidden, dim=-1)
        tokens = self.tokens("tokenizer_3", prompts, T5_TOKENS)
        output = self.text_encoders["text_encoder_3"](tokens)[0]
        context = torch.cat([F.pad(clips, (0, output.shape[-1] - clips.shape[-1])), output], dim=1)
        return {"context": context, "pooled": torch.cat(pooled, dim=-1)}

    @property
    def prompt_limit(self) -> tuple[str, int]:
        return "tokenizer_3", T5_TOKENS

    def empty_conditioning(self, count: int) -> Conditioning:
        config = self.transformer.config
        tokens = CLIP_TOKENS + T5_TOKENS
        return {
            "context": self.zeros(count, tokens, config.joint_attention_dim),
            "pooled": self.zeros(count, config.pooled_projection_dim),
        }

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        predicted: Tensor = self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=conditioning["context"].to(self.dtype),
            pooled_projections=conditioning["pooled"].to(self.dtype),
            timestep=timesteps,
            return_dict=False,
        )[0]
        return predicted

    def key_mapping(self) -> KeyMapping:
        return _layout(int(self.transformer.config.num_layers))

    def timestep_settings(
        self, config: Mapping[str, Any], steps: int, height: int, width: int
    ) -> dict[str, Any]:
        """The scheduler's own sigmas, which it has shifted already and shifts once more."""
        if not config.get("use_dynamic_shifting"):
            return {"num_inference_steps": steps}
        side = int(self.transformer.config.patch_size)
        tokens = (height // side) * (width // side)
        return {"num_inference_steps": steps, "mu": self.resolution_shift(config, steps, tokens)}

    def pipeline(self) -> Any:
        """`StableDiffusion3Pipeline` with Euler steps."""
        from diffusers import StableDiffusion3Pipeline

        return self.build_pipeline(StableDiffusion3Pipeline)


SPEC = FamilySpec(
    name="sd3",
    title="Stable Diffusion 3.x",
    model=StableDiffusion3,
    components=("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"),
    denoiser_class="SD3Transformer2DModel",
    pipelines=("StableDiffusion3",),
    signature=("joint_blocks.0.",),
    companions=(
        autoencoder(r".*sd_?3.*"),
        clip("text_encoder", "clip_l"),
        clip("text_encoder_2", "clip_g"),
        t5("text_encoder_3"),
    ),
    openclip=("text_encoder_2",),
    recipe={"exposures": {"5": 800, "15": 1500, "40": 2500}},
    kohya_base="sd3.5",
    architecture="stable-diffusion-3/lora",
    kohya_uses_original_keys=True,
    lora_title="Stable Diffusion 3",
    lora_keys=r"joint_blocks|text_encoder_3[._]",
    lora_metadata=("sd3", "stable-diffusion-3"),
)

SPECS = (SPEC,)
