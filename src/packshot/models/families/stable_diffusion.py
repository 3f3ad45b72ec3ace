"""Stable Diffusion 1.x and 2.x (arXiv 2112.10752): CLIP text encoder, KL autoencoder, UNet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from packshot.errors import ModelLoadError
from packshot.models.checkpoint import Checkpoint
from packshot.models.clip import ClipEncoder
from packshot.models.companions import autoencoder
from packshot.models.components import Configs, Tensors
from packshot.models.conditioning import Conditioning
from packshot.models.diffusion_model import (
    CLIP_TOKENS,
    DiffusionModel,
    SamplingDefaults,
    is_called_few_step,
    linear_names,
)
from packshot.models.embedder import ClipSimilarity
from packshot.models.families.unet_keys import ldm_modules
from packshot.models.family_spec import FamilySpec
from packshot.models.key_mapping import latent_parts
from packshot.models.noise_schedules import DDPMSchedule
from packshot.types import TargetModules
from packshot.weights.safetensors_file import shapes

_INPAINTING = 9
"""Channels of an inpainting UNet's input: 4 noisy latents, the region's mask, 4 of the picture
without it."""
UNET_VAE = autoencoder("(?!)")
"""Those of Stable Diffusion 1 and XL look alike: none is taken but by the file's own name."""
_CROSS = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")
_SELF = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
_MLP = ("ff.net.0.proj", "ff.net.2", ".proj_in", ".proj_out")
_RESIDUAL = ("conv1", "conv2", "time_emb_proj", "conv_shortcut", "samplers.0.conv")
_CLIP_MATRICES = tuple(f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj"))
_CLIP_MATRICES += ("mlp.fc1", "mlp.fc2")
_SCOPES: dict[str, tuple[str, ...]] = {
    "cross-attention": _CROSS,
    "attention": _CROSS + _SELF,
    "attention+mlp": _CROSS + _SELF + _MLP,
    "all": _CROSS + _SELF + _MLP + _RESIDUAL,
}


def lora_target_names(unet: nn.Module, scope: TargetModules) -> list[str]:
    """Names of the UNet's modules in a scope; "attention+mlp" is sd-scripts' default 192 on SD 1.5."""
    return sorted(
        name
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and name.endswith(_SCOPES[scope])
    )


class UNetModel(DiffusionModel):
    """Base class of the families with a UNet; members as in `DiffusionModel`."""

    sampler = SamplingDefaults("DPM++ 2M", 20, 7.0)
    schedule: DDPMSchedule

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        self.unet = self._denoiser
        self.native_pixels = int(self.unet.config.sample_size) * self.vae_factor
        self.is_inpainting = self.unet.config.in_channels == 2 * self.vae.config.latent_channels + 1
        # Models with zero terminal SNR over-expose under guidance; 0.7 is the paper's. Not every
        # inpainting pipeline has it.
        rescales = self.schedule.zero_terminal_snr and not self.is_inpainting
        self.guidance_rescale = 0.7 if rescales else 0.0
        # So do the schedulers of Turbo and Lightning; of those for v-prediction, others do, too.
        trails = self.schedule.config.get("timestep_spacing") == "trailing"
        told = trails and self.schedule.prediction_type == "epsilon"
        self.is_step_distilled = told or is_called_few_step(self.name)
        if self.is_step_distilled:
            self.sampler = SamplingDefaults("DPM++ 2M", 6, 1.0)
        levels = len(self.unet.config.block_out_channels)
        self.pixel_multiple = self.vae_factor * 2 ** (levels - 1)

    @staticmethod
    def infer_configs(tensors: Tensors, configs: Configs) -> Configs:
        first = tensors.get("model.diffusion_model.input_blocks.0.0.weight")
        if first is None or first.shape[1] != _INPAINTING:
            return configs
        return configs | {"unet": configs["unet"] | {"in_channels": _INPAINTING}}

    def make_schedule(self, config: dict[str, Any], checkpoint: Checkpoint) -> DDPMSchedule:
        return DDPMSchedule(config | checkpoint.schedule_hints, checkpoint.path, self.device)

    def denoiser_input(self, noisy: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's input: with inpainting bases also the mask and the masked image's latents."""
        if self.is_inpainting:
            noisy = torch.cat([noisy, self.inpaint_channels(noisy, conditioning)], dim=1)
        # channels_last is what its weights are laid out in; mixed layouts cost copies in each layer.
        return noisy.contiguous(memory_format=torch.channels_last)

    def attention(self, latents: Tensor) -> AbstractContextManager[None]:
        """See `attention_for`, whose choice would not reach blocks recomputed for gradients."""
        recomputes = self.unet.is_gradient_checkpointing or self.weight_storage == "offload"
        if recomputes and torch.is_grad_enabled():
            return nullcontext()
        return attention_for(latents)

    def original_modules(self) -> dict[str, list[str]]:
        return ldm_modules(self.unet)

    def sampling(self, guidance_scale: float, negative_prompts: list[str]) -> dict[str, Any]:
        arguments = {"guidance_scale": guidance_scale, "negative_prompt": negative_prompts}
        if not self.is_inpainting:
            return arguments | {"guidance_rescale": self.guidance_rescale}
        return arguments | self.nothing_to_keep(len(negative_prompts))

    def guide(self, conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
        """Rescaled where `guidance_rescale` says so (arXiv 2305.08891)."""
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

        guided = super().guide(conditional, unconditional, guidance_scale)
        if not self.guidance_rescale:
            return guided
        rescaled: Tensor = rescale_noise_cfg(guided, conditional, self.guidance_rescale)
        return rescaled

    def lora_targets(self, scope: TargetModules) -> list[str]:
        return lora_target_names(self.unet, scope)

    def text_targets(self) -> dict[str, list[str]]:
        """All matrices of CLIP's blocks, as in kohya's trainer."""
        if self._has_model_offload:
            raise ModelLoadError(
                f"The text encoders of {self.name} do not fit the GPU together with its UNet, so they "
                "cannot be trained. Set text_encoder_rank = 0 in plan.toml, or leave out "
                "--train-text-encoder."
            )
        return {
            name: linear_names(encoder, _CLIP_MATRICES, ("",))
            for name, encoder in self.text_encoders.items()
        }

    def solver(self) -> Any:
        """DPM-Solver++ (arXiv 2211.01095), 2nd order, multistep; with fresh noise at every step if SDE."""
        from diffusers import DPMSolverMultistepScheduler

        kind = "sde-dpmsolver++" if self.sampler.name == "DPM++ 2M SDE" else "dpmsolver++"
        return DPMSolverMultistepScheduler.from_config(
            self.schedule.config, algorithm_type=kind, timestep_spacing="trailing",
            steps_offset=1,  # without which its pipeline warns, though trailing steps have no offset
        )  # fmt: skip


class StableDiffusion1(UNetModel):
    """A Stable Diffusion 1.x checkpoint."""

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        """A single file's tensors, renamed from the original (LDM) layout."""
        from diffusers.loaders import single_file_utils as names

        return {
            "unet": names.convert_ldm_unet_checkpoint(tensors, configs["unet"]),
            **latent_parts(tensors, configs),
            "text_encoder": names.convert_ldm_clip_checkpoint(tensors),
        }

    @property
    def text_encoder(self) -> Any:
        """The only one."""
        return self.text_encoders["text_encoder"]

    @property
    def tokenizer(self) -> Any:
        """The only one."""
        return self.tokenizers["tokenizer"]

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """{"context": [B, 77, width]}: the text encoder's last hidden state."""
        return {"context": self.text_encoder(self.tokens("tokenizer", prompts))[0]}

    def empty_conditioning(self, count: int) -> Conditioning:
        return {"context": self.zeros(count, CLIP_TOKENS, self.unet.config.cross_attention_dim)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        noisy = self.denoiser_input(noisy, conditioning)
        context = conditioning["context"].to(self.dtype)
        with self.attention(noisy):
            predicted: Tensor = self.unet(noisy, timesteps, context, return_dict=False)[0]
        return predicted

    def pipeline(self) -> Any:
        """`StableDiffusionPipeline`, or its inpainting variant, with DPM-Solver++."""
        from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline

        kind = StableDiffusionInpaintPipeline if self.is_inpainting else StableDiffusionPipeline
        pipeline = kind(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=self.solver(),
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
        return ClipEncoder.of_checkpoint(
            self.name, folder, self.text_encoder, self.tokenizer, self.device
        )


class StableDiffusion2(StableDiffusion1):
    """A Stable Diffusion 2.x checkpoint: OpenCLIP's text tower without its last layer.

    Single files come with the configuration of 2.1 at 768 px, which predicts velocity. Those of 2.0 and 2.1
    "base" and of inpainting, at 512 px, predict noise, and often say nothing of it: then the UNet is asked.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, *how: Any) -> None:
        super().__init__(checkpoint, device, *how)
        if checkpoint.layout == "single file" and self.schedule.prediction_type == "epsilon":
            multiple = self.pixel_multiple
            self.native_pixels = max(1, round(self.native_pixels * 2 / 3 / multiple)) * multiple

    def make_schedule(self, config: dict[str, Any], checkpoint: Checkpoint) -> DDPMSchedule:
        schedule = super().make_schedule(config, checkpoint)
        is_told = checkpoint.layout == "folder" or "prediction_type" in checkpoint.schedule_hints
        if is_told or checkpoint.shapes_only:
            return schedule
        last = int(schedule.config.num_train_timesteps) - 1
        if not answers_with_noise(self._denoiser, last, self.device, self.dtype):
            return schedule
        return super().make_schedule(config | {"prediction_type": "epsilon"}, checkpoint)

    @staticmethod
    def convert_state_dict(tensors: Tensors, configs: Configs) -> dict[str, dict[str, Tensor]]:
        """A single file's tensors, renamed from the original (LDM) layout."""
        from diffusers.loaders import single_file_utils as names

        text = names.convert_open_clip_checkpoint(
            _Configured(hidden_size=configs["text_encoder"]["hidden_size"]),
            tensors,
            prefix="cond_stage_model.model.",
        )
        text = {key: value for key, value in text.items() if key != "text_projection.weight"}
        return {
            "unet": names.convert_ldm_unet_checkpoint(tensors, configs["unet"]),
            **latent_parts(tensors, configs),
            "text_encoder": text,
        }


class _Configured:
    """What diffusers' renaming needs of a text model: the width at which fused matrices are split."""

    def __init__(self, hidden_size: int) -> None:
        from types import SimpleNamespace

        self.config = SimpleNamespace(hidden_size=hidden_size)


def attention_for(latents: Tensor) -> AbstractContextManager[None]:
    """The attention kernel for latents [B, C, h, w]: unfused for small ones on the CPU.

    There the backward pass of PyTorch's fused attention is several times slower (see
    benchmarks/training_step); from 32 x 32 on it is faster.
    """
    small = latents.shape[-2:].numel() <= 256
    return sdpa_kernel(SDPBackend.MATH) if latents.device.type == "cpu" and small else nullcontext()


@torch.no_grad()
def answers_with_noise(
    unet: Any, last: int, device: torch.device, dtype: torch.dtype, side: int = 32
) -> bool:
    """Whether a UNet predicts noise rather than velocity, by its answer to pure noise.

    At the last timestep, `last`, noise is what it is given. The velocity is a picture there, with less than
    a tenth of the noise in it.

    Args:
        side: of the latents that it is asked with.
    """
    config = unet.config
    noise = torch.randn(
        1, config.out_channels, side, side, generator=torch.Generator().manual_seed(0)
    )
    rest = torch.zeros(1, config.in_channels - config.out_channels, side, side)  # of inpainting
    given = torch.cat([noise, rest], dim=1).to(device, dtype)
    context = torch.zeros(1, CLIP_TOKENS, config.cross_attention_dim).to(device, dtype)
    answer = unet(given, torch.tensor([last]).to(device), context, return_dict=False)[0]
    both = torch.stack([noise.flatten(), answer.float().cpu().flatten()])
    return float(torch.corrcoef(both)[0, 1]) > 0.5


def schedule_hints(
    path: Path, keys: Sequence[str], *, noise_if_silent: bool = True
) -> dict[str, Any]:
    """Scheduler overrides from keys, metadata or a .yaml next to the file (as in web UIs)."""
    says = shapes(path).metadata.get("modelspec.prediction_type", "")
    yaml_file = path.with_suffix(".yaml")
    yaml = yaml_file.read_text(encoding="utf-8", errors="replace") if yaml_file.is_file() else ""
    parameterization = re.search(r"""parameterization:\s*["']?(v|eps)""", yaml)
    velocity = says == "v" or "v_pred" in keys
    if parameterization:
        velocity = parameterization[1] == "v"
    hints: dict[str, Any] = {}
    if noise_if_silent or says or parameterization or velocity:
        hints["prediction_type"] = "v_prediction" if velocity else "epsilon"
    if "ztsnr" in keys:
        hints["rescale_betas_zero_snr"] = True
    return hints


SD1 = FamilySpec(
    name="sd1",
    title="Stable Diffusion 1.x",
    model=StableDiffusion1,
    components=("unet", "vae", "text_encoder"),
    denoiser_class="UNet2DConditionModel",
    pipelines=("StableDiffusion",),
    signature=("cond_stage_model.transformer.",),
    companions=(UNET_VAE,),
    schedule_hints=schedule_hints,
    learns_text=True,
    fits_fp16=True,
    kohya_base="sd_v1",
    architecture="stable-diffusion-v1/lora",
    lora_title="Stable Diffusion 1.x or 2.x",
    lora_metadata=("sd_v1", "sd_v2", "stable-diffusion-v1", "stable-diffusion-v2"),
)
SD2 = replace(
    SD1,
    name="sd2",
    title="Stable Diffusion 2.x",
    model=StableDiffusion2,
    cross_attention_dim=1024,
    signature=("cond_stage_model.model.transformer.",),
    schedule_hints=partial(schedule_hints, noise_if_silent=False),
    openclip=("text_encoder",),
    kohya_base="sd_v2",
    architecture="stable-diffusion-v2-768-v/lora",
    architecture_of_noise="stable-diffusion-v2-512/lora",
)

SPECS = (SD1, SD2)
