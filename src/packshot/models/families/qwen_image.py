"""Qwen-Image (arXiv 2508.02324): a transformer of double streams, Qwen2.5-VL as text encoder."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from packshot.models.checkpoint import Checkpoint
from packshot.models.companions import EMBEDDING, VAE, Companion
from packshot.models.components import Configs, Tensors
from packshot.models.conditioning import Conditioning, join_conditionings
from packshot.models.diffusion_model import SamplingDefaults, is_called_few_step
from packshot.models.families.flux import packed, unpacked
from packshot.models.family_spec import FamilySpec
from packshot.models.key_mapping import count_blocks, strip_prefix, transformer_tensors
from packshot.models.transformer_model import ATTENTION, LARGE_RECIPE, Scopes, TransformerModel

TOKENS = 512
# What the text encoder was asked when the model was trained; its own states are dropped.
_ASKED = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, "
    "text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n"
)
_ASKED_TOKENS = 34
_ANSWER = "<|im_end|>\n<|im_start|>assistant\n"
_BLOCKS = ("transformer_blocks.",)
_MLP = ("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2")
_MODULATION = ("img_mod.1", "txt_mod.1")
_SCOPES: Scopes = {
    "cross-attention": (ATTENTION, _BLOCKS),
    "attention": (ATTENTION, _BLOCKS),
    "attention+mlp": (ATTENTION + _MLP, _BLOCKS),
    "all": (ATTENTION + _MLP + _MODULATION, _BLOCKS),
}
# How the names of Wan's autoencoder, whose layout its file has, become diffusers'.
_WAN = (
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"coder\.conv1\.", "coder.conv_in."),
    (r"\.head\.0\.", ".norm_out."),
    (r"\.head\.2\.", ".conv_out."),
    (r"\.middle\.0\.", ".mid_block.resnets.0."),
    (r"\.middle\.1\.", ".mid_block.attentions.0."),
    (r"\.middle\.2\.", ".mid_block.resnets.1."),
    (r"\.downsamples\.", ".down_blocks."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
)
_QWEN25 = ("text_encoders.qwen25_7b.transformer.",)
_BESIDE = {"transformer": "(?!)", "vae": "(?!)", "text_encoder": r"visual\.|lm_head\."}


class QwenImage(TransformerModel):
    """A Qwen-Image checkpoint."""

    scopes = _SCOPES
    sampler = SamplingDefaults("Euler", 30, 4.0)
    extra_keys = _BESIDE

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        self.is_step_distilled = is_called_few_step(self.name)
        if self.is_step_distilled:
            self.sampler = SamplingDefaults("Euler", 8, 1.0)
        shape = (1, -1, 1, 1, 1)
        self._mean = torch.tensor(self.vae.config.latents_mean, device=device).view(shape)
        self._spread = torch.tensor(self.vae.config.latents_std, device=device).view(shape)

    def trained_pixels(self) -> int:
        """1328, by the authors' documentation; the configuration does not contain it."""
        return 1328

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        """Only the VAE's names differ; the transformer's original names are diffusers'."""
        each = configs["vae"]["num_res_blocks"] + 1
        latents = strip_prefix(tensors, *VAE)
        return {
            "transformer": transformer_tensors(tensors),
            "vae": {_wan_name(key, each): value for key, value in latents.items()},
            "text_encoder": strip_prefix(tensors, *_QWEN25),
        }

    @staticmethod
    def infer_configs(tensors: Tensors, configs: Configs) -> Configs:
        own, config = transformer_tensors(tensors), configs["transformer"]
        sizes = {
            "num_layers": count_blocks(own, "transformer_blocks"),
            "num_attention_heads": own["img_in.weight"].shape[0] // config["attention_head_dim"],
        }
        return configs | {"transformer": config | sizes}

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Tensor:
        video = pixels.to(self.device, self.dtype)[:, :, None]  # of one frame
        latents = self.vae.encode(video).latent_dist.mean
        return ((latents - self._mean) / self._spread).to(self.dtype)[:, :, 0]

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        latents = latents.to(self.device)[:, :, None] * self._spread + self._mean
        pixels: Tensor = self.vae.decode(latents.to(self.dtype)).sample.clamp(-1, 1)
        return pixels[:, :, 0]

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, tokens, 3584]}, as long as the longest prompt, and a mask if others are shorter."""
        tokens = self.tokenizers["tokenizer"](
            [self.prompt_in_template(prompt) for prompt in prompts],
            padding=True, truncation=True, max_length=TOKENS + _ASKED_TOKENS, return_tensors="pt",
        )  # fmt: skip
        states = self.text_encoders["text_encoder"](
            input_ids=tokens.input_ids.to(self.device),
            attention_mask=tokens.attention_mask.to(self.device),
        ).last_hidden_state
        kept = tokens.attention_mask.bool()
        each = [state[keep][_ASKED_TOKENS:] for state, keep in zip(states, kept, strict=True)]
        return join_conditionings([{"context": state[None]} for state in each])

    @property
    def prompt_limit(self) -> tuple[str, int]:
        return "tokenizer", TOKENS + _ASKED_TOKENS

    def prompt_in_template(self, prompt: str) -> str:
        return _ASKED + prompt + _ANSWER

    def empty_conditioning(self, count: int) -> Conditioning:
        """Without a mask: all have one length."""
        width = self.transformer.config.joint_attention_dim
        return {"context": self.zeros(count, TOKENS, width)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        count, _, height, width = noisy.shape
        predicted = self.transformer(
            hidden_states=packed(noisy),
            encoder_hidden_states=conditioning["context"].to(self.dtype),
            encoder_hidden_states_mask=conditioning.get("mask"),
            timestep=timesteps / 1000,
            img_shapes=[[(1, height // 2, width // 2)]] * count,
            return_dict=False,
        )[0]
        return unpacked(predicted, height, width)

    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        return {"true_cfg_scale": guidance_scale, "negative_prompt": negative_prompts}

    def guide(self, conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
        """Each token as long as the conditional prediction's."""
        height, width = conditional.shape[-2:]
        tokens = packed(super().guide(conditional, unconditional, guidance_scale))
        length = packed(conditional).norm(dim=-1, keepdim=True) / tokens.norm(dim=-1, keepdim=True)
        return unpacked(tokens * length, height, width)

    def pipeline(self) -> Any:
        """`QwenImagePipeline` with Euler steps."""
        from diffusers import QwenImagePipeline

        return self.build_pipeline(QwenImagePipeline)


def _wan_name(key: str, each: int) -> str:
    """diffusers' name of a weight of Wan's VAE.

    Its decoder's upsampling is one list: per resolution `each` residual blocks, then an upsampler.
    """
    for theirs, ours in _WAN:
        key = re.sub(theirs, ours, key)
    if match := re.match(r"decoder\.upsamples\.(\d+)", key):
        size, place = divmod(int(match[1]), each + 1)
        block = f"resnets.{place}" if place < each else "upsamplers.0"
        key = f"decoder.up_blocks.{size}.{block}{key[match.end() :]}"
    return key


_COMPANIONS = (
    # Wan's autoencoder has the same shapes.
    Companion(
        "vae", "its autoencoder (qwen_image_vae.safetensors)", VAE, "decoder.conv1.weight", ".*qwen.*"
    ),
    Companion(
        "text_encoder", "its text encoder Qwen2.5-VL (qwen_2.5_vl_7b.safetensors)", _QWEN25, EMBEDDING,
        also="model.layers.0.self_attn.q_proj.bias", reader=("txt_in.weight", 1),
    ),
)  # fmt: skip
SPEC = FamilySpec(
    name="qwen_image",
    title="Qwen-Image",
    model=QwenImage,
    components=("transformer", "vae", "text_encoder"),
    denoiser_class="QwenImageTransformer2DModel",
    vae_class="AutoencoderKLQwenImage",
    pipelines=("QwenImagePipeline",),
    signature=("transformer_blocks.0.img_mod.1.",),
    companions=_COMPANIONS,
    recipe=LARGE_RECIPE,
    kohya_base="qwen_image",
    architecture="Qwen-Image/lora",
    kohya_uses_original_keys=False,  # diffusers' names are the original ones
    lora_title="Qwen-Image",
    # Other transformers of such blocks have half as many.
    lora_keys=r"(^|[._])transformer_blocks[._]\d+[._](img|txt)_(mlp|mod)[._]"
    r"|(^|_unet_|former[._]|model[._])transformer_blocks[._](3[89]|[45]\d)[._]",
    lora_metadata=("qwen",),
)

SPECS = (SPEC,)
