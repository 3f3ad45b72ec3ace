"""Stable Diffusion XL (arXiv 2307.01952): two text encoders, and size conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from packshot.models.components import Configs, Tensors
from packshot.models.conditioning import Conditioning, SizeConditioning
from packshot.models.diffusion_model import CLIP_TOKENS, SamplingDefaults
from packshot.models.families.stable_diffusion import UNET_VAE, UNetModel, schedule_hints
from packshot.models.family_spec import FamilySpec, Relative
from packshot.models.key_mapping import latent_parts


class StableDiffusionXL(UNetModel):
    """An SDXL checkpoint; members as in `DiffusionModel`."""

    sampler = SamplingDefaults("DPM++ 2M", 20, 6.0)

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        """A single file's tensors, renamed from the original (LDM) layout."""
        from diffusers.loaders import single_file_utils as names

        second = "conditioner.embedders.1.model."
        # Its fused matrices are split where its projection ends, which it has.
        projected = names.convert_open_clip_checkpoint(None, tensors, prefix=second)
        return {
            "unet": names.convert_ldm_unet_checkpoint(tensors, configs["unet"]),
            **latent_parts(tensors, configs),
            "text_encoder": names.convert_ldm_clip_checkpoint(tensors),
            "text_encoder_2": projected,
        }

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, 77, 2048], "pooled": [B, 1280]}.

        Both text encoders' penultimate hidden states concatenated, and the second's projection.
        """
        hidden, pooled = [], None
        for number in ("", "_2"):
            encoder = self.text_encoders[f"text_encoder{number}"]
            output = encoder(self.tokens(f"tokenizer{number}", prompts), output_hidden_states=True)
            hidden.append(output.hidden_states[-2])
            pooled = output[0]
        assert pooled is not None
        return {"context": torch.cat(hidden, dim=-1), "pooled": pooled}

    def add_size_conditioning(
        self, conditioning: Conditioning, sizes: Sequence[SizeConditioning]
    ) -> Conditioning:
        """Adds "time_ids" [B, 6]: original height and width, crop's top and left, target height, width."""
        ids = [
            (
                size.original_size[1],
                size.original_size[0],
                size.crop_top_left[1],
                size.crop_top_left[0],
                size.target_size[1],
                size.target_size[0],
            )
            for size in sizes
        ]
        return conditioning | {"time_ids": torch.tensor(ids, device=self.device)}

    def empty_conditioning(self, count: int) -> Conditioning:
        context = self.zeros(count, CLIP_TOKENS, self.unet.config.cross_attention_dim)
        pooled = self.text_encoders["text_encoder_2"].config.projection_dim
        return {"context": context, "pooled": self.zeros(count, pooled)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        if "time_ids" not in conditioning:
            factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
            size = (noisy.shape[-1] * factor, noisy.shape[-2] * factor)
            conditioning = self.add_size_conditioning(
                conditioning, [SizeConditioning(size, (0, 0), size)] * len(noisy)
            )
        size_conditioning = {
            "text_embeds": conditioning["pooled"].to(self.dtype),
            "time_ids": conditioning["time_ids"],  # whole pixels, which 16 bits would round
        }
        noisy = self.denoiser_input(noisy, conditioning)
        context = conditioning["context"].to(self.dtype)
        with self.attention(noisy):
            predicted: Tensor = self.unet(
                noisy, timesteps, context, added_cond_kwargs=size_conditioning, return_dict=False
            )[0]
        return predicted

    def pipeline(self) -> Any:
        """`StableDiffusionXLPipeline`, or its inpainting variant, with DPM-Solver++."""
        from diffusers import StableDiffusionXLInpaintPipeline, StableDiffusionXLPipeline

        kind = StableDiffusionXLInpaintPipeline if self.is_inpainting else StableDiffusionXLPipeline
        pipeline = kind(
            vae=self.vae,
            unet=self.unet,
            scheduler=self.solver(),
            add_watermarker=False,
            **self.text_encoders,
            **self.tokenizers,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


SPEC = FamilySpec(
    name="sdxl",
    title="SDXL",
    model=StableDiffusionXL,
    components=("unet", "vae", "text_encoder", "text_encoder_2"),
    denoiser_class="UNet2DConditionModel",
    pipelines=("StableDiffusionXL",),
    signature=("conditioner.embedders.1.",),
    relatives=(  # which learnt by EDM's noise
        Relative("Playground 2.5", ("conditioner.embedders.1.", "edm_mean")),
        Relative("CosXL", ("conditioner.embedders.1.", "edm_vpred.")),
    ),
    companions=(UNET_VAE,),
    schedule_hints=schedule_hints,
    openclip=("text_encoder_2",),
    learns_text=True,
    fits_fp16=True,
    recipe={"exposures": {"5": 800, "15": 1500, "40": 2500}},
    kohya_base="sdxl_base_v1-0",
    architecture="stable-diffusion-xl-v1-base/lora",
    kohya_uses_original_keys=True,
    lora_title="SDXL",
    # Stable Diffusion 1.x has one transformer block wherever this has two or ten.
    lora_keys=r"lora_te2_|text_encoder_2\.|attentions?[._].*transformer_blocks[._][1-9]"
    r"|(input|middle|output)_blocks?[._].*transformer_blocks[._][1-9]",
    lora_metadata=("sdxl", "xl-v1"),
)

SPECS = (SPEC,)
