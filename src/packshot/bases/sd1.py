"""Stable Diffusion 1.x (arXiv 2112.10752): CLIP text encoder, KL autoencoder, UNet, in diffusers' classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from packshot.bases.base import ClipSimilarity, Conditioning, Scope
from packshot.bases.checkpoint import COMPONENTS, Checkpoint, read_config
from packshot.bases.clip import ClipTowers
from packshot.bases.schedules import Diffusion
from packshot.bases.weights import filled, read_all, refusing
from packshot.errors import CheckpointRefused

CONFIGS = Path(__file__).parent / "configs" / "sd1"
_CROSS = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")
_SELF = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
_MLP = ("ff.net.0.proj", "ff.net.2", ".proj_in", ".proj_out")
_RESIDUAL = ("conv1", "conv2", "time_emb_proj", "conv_shortcut", "samplers.0.conv")
_SCOPES: dict[str, tuple[str, ...]] = {
    "cross-attention": _CROSS,
    "attention": _CROSS + _SELF,
    "attention+mlp": _CROSS + _SELF + _MLP,
    "all": _CROSS + _SELF + _MLP + _RESIDUAL,
}


def lora_target_names(unet: nn.Module, scope: Scope) -> list[str]:
    """Names of the UNet's modules in a scope; "attention+mlp" is sd-scripts' default 192 on SD 1.5."""
    return sorted(
        name
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and name.endswith(_SCOPES[scope])
    )


class StableDiffusion1:
    """A Stable Diffusion 1.x checkpoint; see `packshot.bases.base.Base` for each member."""

    family = "sd1"

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.path, self.content_hash = checkpoint.path, checkpoint.content_hash
        self.name = checkpoint.name
        self.device, self.dtype = device, dtype
        self.unet, self.vae, self.text_encoder, self.tokenizer, schedule = _load(checkpoint, dtype)
        for network in (self.unet, self.vae, self.text_encoder):
            network.to(device)
        self.unet.to(memory_format=torch.channels_last)
        self.vae.to(memory_format=torch.channels_last)
        self.schedule = Diffusion(schedule, checkpoint.path, device)
        # Models with zero terminal SNR over-expose under guidance; 0.7 is the paper's.
        self.guidance_rescale = 0.7 if self.schedule.ends_in_noise else 0.0
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.native_pixels = int(self.unet.config.sample_size) * factor
        self.pixel_multiple = factor * 2 ** (len(self.unet.config.block_out_channels) - 1)

    @property
    def denoiser(self) -> nn.Module:
        return self.unet

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        return {"text_encoder": self.text_encoder}

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Tensor:
        posterior = self.vae.encode(pixels.to(self.device, self.dtype)).latent_dist
        return posterior.mean * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        scaled = latents.to(self.device, self.dtype) / self.vae.config.scaling_factor
        return self.vae.decode(scaled).sample.clamp(-1, 1)

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, 77, width]}: the text encoder's last hidden state."""
        tokens = self.tokenizer(
            prompts,
            padding="max_length",
            truncation=True,
            max_length=self.text_encoder.config.max_position_embeddings,
            return_tensors="pt",
        )
        return {"context": self.text_encoder(tokens.input_ids.to(self.device))[0]}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        # channels_last is what its weights are laid out in; mixed layouts cost copies in each layer.
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        context = conditioning["context"].to(self.dtype)
        with attention_for(noisy):
            return self.unet(noisy, timesteps, context, return_dict=False)[0]

    def lora_targets(self, scope: Scope) -> list[str]:
        return lora_target_names(self.unet, scope)

    def pipeline(self) -> Any:
        """`StableDiffusionPipeline` with DPM-Solver++ (arXiv 2211.01095), 2nd order, multistep."""
        from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

        solver = DPMSolverMultistepScheduler.from_config(
            self.schedule.config, algorithm_type="dpmsolver++", timestep_spacing="trailing"
        )
        pipeline = StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=solver,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def clip_similarity(self) -> ClipSimilarity | None:
        folder = self.path / "clip"
        if not (folder / "config.json").is_file():
            return None
        return ClipTowers(self.name, folder, self.text_encoder, self.tokenizer, self.device)


def attention_for(latents: Tensor) -> AbstractContextManager[None]:
    """The attention to use on latents [B, C, h, w]: plain for small ones on the CPU.

    There PyTorch's fused one is several times slower backwards (see benchmarks/training_step); from
    32 x 32 on it wins.
    """
    small = latents.shape[-2:].numel() <= 256
    return sdpa_kernel(SDPBackend.MATH) if latents.device.type == "cpu" and small else nullcontext()


Parts = tuple[Any, Any, Any, Any, dict[str, Any]]


def _load(checkpoint: Checkpoint, dtype: torch.dtype) -> Parts:
    """UNet, VAE, text encoder, tokenizer and the scheduler's configuration; nothing is downloaded."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    path = checkpoint.path
    folder = path if checkpoint.layout == "folder" else CONFIGS
    configs = {name: read_config(folder / name / "config.json") for name in COMPONENTS}
    with refusing(path):
        if checkpoint.layout == "folder":
            tensors = {name: read_all(checkpoint.weights[name]) for name in COMPONENTS}
        else:
            tensors = _from_ldm(read_all(checkpoint.weights[""]), configs)

    def network(name: str, kind: Any) -> nn.Module:
        with torch.device("meta"):
            return kind.from_config(configs[name])

    # transformers 5 names these modules without the prefix that files of older versions have.
    text = {
        key.removeprefix("text_model."): value for key, value in tensors["text_encoder"].items()
    }
    vae = {_VAE_ATTENTION.sub(_new_name, key): value for key, value in tensors["vae"].items()}
    at = {name: path / name if checkpoint.layout == "folder" else path for name in COMPONENTS}

    def encoder() -> nn.Module:
        return CLIPTextModel(CLIPTextConfig.from_dict(configs["text_encoder"]))

    return (
        filled(lambda: network("unet", UNet2DConditionModel), tensors["unet"], at["unet"], dtype),
        filled(lambda: network("vae", AutoencoderKL), vae, at["vae"], dtype),
        filled(encoder, text, at["text_encoder"], dtype),
        _tokenizer(checkpoint),
        read_config(folder / "scheduler" / "scheduler_config.json"),
    )


def _from_ldm(
    tensors: Mapping[str, Tensor], configs: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Tensor]]:
    """A single file's tensors by component, renamed from the original (LDM) layout."""
    from diffusers.loaders import single_file_utils as names

    return {
        "unet": names.convert_ldm_unet_checkpoint(tensors, configs["unet"]),
        "vae": names.convert_ldm_vae_checkpoint(tensors, configs["vae"]),
        "text_encoder": names.convert_ldm_clip_checkpoint(tensors),
    }


def _tokenizer(checkpoint: Checkpoint) -> Any:
    from transformers import CLIPTokenizer

    from packshot.pocket.tokenizer import clip_tokenizer

    if checkpoint.layout == "single file":
        return clip_tokenizer()
    folder = checkpoint.path / "tokenizer"
    if not folder.is_dir():
        raise CheckpointRefused(
            f"{checkpoint.path} has no folder 'tokenizer'. Copy it again, whole."
        )
    with refusing(folder):
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


# Autoencoders saved before diffusers 0.17, SD 1.5's own among them, name these otherwise.
_VAE_ATTENTION = re.compile(r"(?<=mid_block\.attentions\.0\.)(query|key|value|proj_attn)(?=\.)")
_NEW_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _new_name(found: re.Match[str]) -> str:
    return _NEW_NAMES[found[0]]
