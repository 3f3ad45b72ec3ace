"""FLUX.1 (https://github.com/black-forest-labs/flux): a transformer of double and single streams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from packshot.errors import ModelLoadError
from packshot.models.checkpoint import Checkpoint
from packshot.models.companions import autoencoder, clip, t5
from packshot.models.components import Configs, Tensors
from packshot.models.conditioning import Conditioning
from packshot.models.diffusion_model import SamplingDefaults, is_called_few_step
from packshot.models.families.flux_streams import DOUBLE, DOUBLE_ATTENTION, SINGLE, Streams
from packshot.models.family_spec import FamilySpec, Relative
from packshot.models.key_mapping import (
    KeyMapping,
    count_blocks,
    latent_parts,
    strip_prefix,
    transformer_tensors,
)
from packshot.models.transformer_model import ATTENTION, LARGE_RECIPE, Scopes, TransformerModel

TRAINING_GUIDANCE = 1.0
"""Guidance embedding in training of guidance-distilled checkpoints: with 1 the LoRA fits the images
unguided, and guidance still works in generation."""
_MLP = (
    "ff.net.0.proj",
    "ff.net.2",
    "ff_context.net.0.proj",
    "ff_context.net.2",
    "proj_mlp",
    "proj_out",
)
_MODULATION = ("norm1.linear", "norm1_context.linear", "norm.linear")
_SCOPES: Scopes = {
    "cross-attention": (ATTENTION, (DOUBLE,)),  # where text and picture meet first
    "attention": (ATTENTION, (DOUBLE, SINGLE)),
    "attention+mlp": (ATTENTION + _MLP, (DOUBLE, SINGLE)),
    "all": (ATTENTION + _MLP + _MODULATION, (DOUBLE, SINGLE)),
}
_STREAMS = Streams(
    double={
        **DOUBLE_ATTENTION,
        "img_mod.lin": ["norm1.linear"],
        "txt_mod.lin": ["norm1_context.linear"],
        "img_mlp.0": ["ff.net.0.proj"],
        "img_mlp.2": ["ff.net.2"],
        "txt_mlp.0": ["ff_context.net.0.proj"],
        "txt_mlp.2": ["ff_context.net.2"],
    },
    single={
        "modulation.lin": ["norm.linear"],
        "linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
        "linear2": ["proj_out"],
    },
    others={
        "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
        "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
        "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
        "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
        "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
        "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    },
)
# DiffSynth's names, XLabs' processors, and of ComfyUI's one for a part of linear1.
_OTHERS_NAMES = KeyMapping(
    blocks={
        "double_blocks": (
            "transformer_blocks",
            {
                "processor.qkv_lora1": ["attn.to_q", "attn.to_k", "attn.to_v"],
                "processor.qkv_lora2": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
                "processor.proj_lora1": ["attn.to_out.0"],
                "processor.proj_lora2": ["attn.to_add_out"],
            },
        ),
        "blocks": (
            "transformer_blocks",
            {
                "attn.a_to_qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
                "attn.b_to_qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
                "attn.a_to_out": ["attn.to_out.0"],
                "attn.b_to_out": ["attn.to_add_out"],
                "ff_a.0": ["ff.net.0.proj"],
                "ff_a.2": ["ff.net.2"],
                "ff_b.0": ["ff_context.net.0.proj"],
                "ff_b.2": ["ff_context.net.2"],
                "norm1_a.linear": ["norm1.linear"],
                "norm1_b.linear": ["norm1_context.linear"],
            },
        ),
        "single_blocks": (
            "single_transformer_blocks",
            {
                "to_qkv_mlp": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
                "linear1_qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
                "processor.qkv_lora": ["attn.to_q", "attn.to_k", "attn.to_v"],
                "processor.proj_lora": ["proj_out"],
                "proj_out": ["proj_out"],
                "norm.linear": ["norm.linear"],
            },
        ),
    },
    others={},
)


class Flux1(TransformerModel):
    """A FLUX.1 checkpoint (dev, schnell, Fill and what is made from them)."""

    scopes = _SCOPES
    is_guidance_distilled = True

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        dev = self.transformer.config.guidance_embeds
        self.sampler = (
            SamplingDefaults("Euler", 28, 3.5) if dev else SamplingDefaults("Euler", 4, 0.0)
        )
        self.is_step_distilled = not dev or is_called_few_step(self.name)
        if dev and self.is_step_distilled:  # dev, with a LoRA for few steps in it
            self.sampler = SamplingDefaults("Euler", 8, 3.5)
        channels = self.transformer.config.in_channels
        self.is_inpainting = channels == _fill_channels(
            self.vae.config.latent_channels, self.vae_factor
        )
        if self.is_inpainting:
            self.sampler = SamplingDefaults("Euler", 28, 30.0)
        self.tokens_of_t5 = 512 if dev else 256

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        return {
            "transformer": _STREAMS.layout().convert(transformer_tensors(tensors)),
            **latent_parts(tensors, configs),
            "text_encoder": strip_prefix(tensors, "text_encoders.clip_l.transformer."),
            "text_encoder_2": strip_prefix(tensors, "text_encoders.t5xxl.transformer."),
        }

    @staticmethod
    def infer_configs(tensors: Tensors, configs: Configs) -> Configs:
        own = transformer_tensors(tensors)
        width, channels = own["img_in.weight"].shape
        config = configs["transformer"]
        vae = configs["vae"]
        fill = _fill_channels(vae["latent_channels"], 2 ** (len(vae["block_out_channels"]) - 1))
        if channels not in (config["in_channels"], fill):
            raise ModelLoadError(
                f"This FLUX.1 takes {channels} channels, not {config['in_channels']} or Fill's {fill}: "
                "one of the tools (Depth, Canny), which are not trained here. Use dev or schnell."
            )
        fits_fill = {"in_channels": fill, "out_channels": config["in_channels"]}
        sizes: dict[str, Any] = fits_fill if channels == fill else {}
        sizes |= {
            "num_layers": count_blocks(own, "double_blocks"),
            "num_single_layers": count_blocks(own, "single_blocks"),
            "num_attention_heads": width // config["attention_head_dim"],
            "guidance_embeds": "guidance_in.in_layer.weight" in own,
        }
        return configs | {"transformer": config | sizes}

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, tokens, 4096] of T5, "pooled": [B, 768] of CLIP}."""
        pooled = self.text_encoders["text_encoder"](self.tokens("tokenizer", prompts)).pooler_output
        ids = self.tokens("tokenizer_2", prompts, self.tokens_of_t5)
        return {"context": self.text_encoders["text_encoder_2"](ids)[0], "pooled": pooled}

    @property
    def prompt_limit(self) -> tuple[str, int]:
        return "tokenizer_2", self.tokens_of_t5

    def empty_conditioning(self, count: int) -> Conditioning:
        config = self.transformer.config
        return {
            "context": self.zeros(count, self.tokens_of_t5, config.joint_attention_dim),
            "pooled": self.zeros(count, config.pooled_projection_dim),
        }

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        count, _, height, width = noisy.shape
        context = conditioning["context"].to(self.dtype)
        guidance = None
        if self.transformer.config.guidance_embeds:
            default = torch.full((count,), TRAINING_GUIDANCE)
            guidance = conditioning.get("guidance", default).to(self.device)
        predicted = self.transformer(
            hidden_states=self._tokens(noisy, conditioning),
            encoder_hidden_states=context,
            pooled_projections=conditioning["pooled"].to(self.dtype),
            timestep=timesteps / 1000,
            img_ids=positions(height // 2, width // 2).to(self.device, self.dtype),
            txt_ids=torch.zeros(context.shape[1], 3, device=self.device, dtype=self.dtype),
            guidance=guidance,
            return_dict=False,
        )[0]
        return unpacked(predicted, height, width)

    def _tokens(self, noisy: Tensor, conditioning: Conditioning) -> Tensor:
        """The transformer's input tokens: with Fill also the masked image's latents and the mask."""
        tokens = packed(noisy)
        if not self.is_inpainting:
            return tokens
        region = self.inpaint_channels(noisy, conditioning)
        # A latent pixel's mask holds for all of its image pixels.
        mask = region[:, :1].expand(-1, self.vae_factor**2, -1, -1)
        return torch.cat([tokens, packed(region[:, 1:]), packed(mask)], dim=-1)

    def key_mapping(self) -> KeyMapping:
        return _STREAMS.layout()

    def other_modules(self) -> dict[str, list[str]]:
        return _OTHERS_NAMES.renamed_modules(self.transformer)

    def counting_guidance(self, guidance_scale: float) -> float:
        """schnell is told none."""
        return guidance_scale if self.transformer.config.guidance_embeds else 0.0

    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        """Distilled guidance: one pass a step, no negative prompt; T5's tokens as in training."""
        arguments: dict[str, Any] = {
            "guidance_scale": guidance_scale,
            "max_sequence_length": self.tokens_of_t5,
        }
        if self.is_inpainting:
            arguments |= self.nothing_to_keep(len(negative_prompts))
        return arguments

    def pipeline(self) -> Any:
        """`FluxPipeline` or `FluxFillPipeline`, with Euler steps."""
        from diffusers import FluxFillPipeline, FluxPipeline

        return self.build_pipeline(FluxFillPipeline if self.is_inpainting else FluxPipeline)


def _fill_channels(latents: int, factor: int) -> int:
    """Channels of a Fill's tokens: 2 x 2 latents, masked image latents, and the mask's pixels."""
    return 4 * (2 * latents + factor**2)


def packed(latents: Tensor) -> Tensor:
    """Latents [B, C, h, w] to tokens [B, h/2 * w/2, 4C]: squares of 2 x 2, channels first."""
    count, channels, height, width = latents.shape
    squares = latents.reshape(count, channels, height // 2, 2, width // 2, 2)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(count, height * width // 4, 4 * channels)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `packed` for latents of a height and width."""
    count, _, channels = tokens.shape
    squares = tokens.reshape(count, height // 2, width // 2, channels // 4, 2, 2)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(count, channels // 4, height, width)


def positions(rows: int, columns: int) -> Tensor:
    """Position ids of the image tokens, [rows * columns, 3]: 0, row, column."""
    grid = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1)
    return torch.cat([torch.zeros(rows, columns, 1), grid], dim=-1).reshape(-1, 3)


def _schedule_hints(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Schnell (no guidance embedding) has a fixed shift; dev shifts noise by the resolution."""
    dev = any("guidance_in." in key for key in keys)
    return {} if dev else {"use_dynamic_shifting": False, "shift": 1.0}


SPEC = FamilySpec(
    name="flux1",
    title="FLUX.1",
    model=Flux1,
    components=("transformer", "vae", "text_encoder", "text_encoder_2"),
    denoiser_class="FluxTransformer2DModel",
    pipelines=("FluxPipeline", "FluxFillPipeline"),
    signature=("vector_in.",),
    relatives=(
        Relative("FLUX", pipelines=("Flux",)),
        Relative("FLUX of an unknown kind", signature=("double_blocks.0.",)),
    ),
    companions=(
        autoencoder(r"(.*[-_.])?ae|.*flux.*"),
        clip("text_encoder", "clip_l"),
        t5("text_encoder_2"),
    ),
    schedule_hints=_schedule_hints,
    recipe=LARGE_RECIPE,
    kohya_base="flux1",
    architecture="flux-1-dev/lora",
    kohya_uses_original_keys=True,
    lora_title="FLUX",
    lora_keys=r"(^|[._])(double|single)_(transformer_)?blocks[._]"
    r"|(^|[._])(double_stream_modulation|single_stream_modulation|guidance_in|vector_in)[._]",
    lora_metadata=("flux",),
)

SPECS = (SPEC,)
