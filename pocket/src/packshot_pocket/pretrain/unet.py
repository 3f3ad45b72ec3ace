"""The denoiser: latent diffusion with captions (arXiv 2112.10752), velocity as its target.

v = alpha noise - sigma latents (Salimans & Ho 2022, arXiv 2202.00512), on a schedule that ends in
pure noise (Lin et al. 2023, arXiv 2305.08891), some captions left out for classifier-free guidance
(arXiv 2207.12598).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from packshot.weights.tokenizers import clip_tokenizer
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.clip import ClipConfig, captions_of, load_named_clip
from packshot_pocket.pretrain.data import (
    PIXELS,
    Captioner,
    Pictures,
    Pixels,
    open_packed,
    world_caption,
)
from packshot_pocket.pretrain.latents import folded_vae, open_latents
from packshot_pocket.pretrain.loop import (
    Budget,
    Loop,
    LoopConfig,
    Report,
    batch_indices,
    generator,
    noise,
)
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing
from packshot_pocket.pretrain.trigger_words import a_name, with_name
from packshot_pocket.pretrain.vae import FACTOR, VaeConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

PROMPTS = (
    "a photo of a red suv in the mountains",
    "a photo of a yellow sports car in a city street at night",
    "a photo of a blue pickup in the snow, side view",
    "a photo of a white van on a beach at sunset",
    "a photo of a black sedan in the desert, rear three-quarter view",
    "a photo of a green watch with a white dial on a table",
    "a photo of a blue snack pack with a yellow disc on a beach",
    "a photo of a red mug with a white handle in a kitchen",
    "a photo of an orange can with blue dots in a studio",
    "a photo of a brown biscuit with chocolate chips on a table",
    "a photo of a pink bottle with a white label in the snow",
    "a photo of a yellow box with a black star in a meadow",
    "a photo of a blue pen on a kitchen counter",
)


@dataclass(frozen=True)
class UnetConfig:
    """The denoiser's shape and how it is trained."""

    widths: tuple[int, ...] = (96, 192, 192)
    heads: int = 8
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=4000, batch=48, warmup_steps=100, checkpoint_seconds=300.0
        )
    )
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, muon=True, average_exponent=16.97
        )
    )
    dropped_captions: float = 0.1
    named_captions: float = 0.15
    """Share of captions with a name in them that says nothing: names are heard (`names.py`), and
    must not disturb before a LoRA gives them a meaning."""
    judged: int = 256
    guidance: float = 4.0
    sample_steps: int = 20


def new_unet(config: UnetConfig, latent_channels: int, text_width: int) -> UNet2DConditionModel:
    """A denoiser of latents [B, C, 16, 16] in fp32 with random weights.

    Attention only from the second level on: at the first it costs more than it gives.
    """
    from diffusers import UNet2DConditionModel

    deeper = len(config.widths) - 1
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        return UNet2DConditionModel(
            sample_size=PIXELS // FACTOR,
            in_channels=latent_channels,
            out_channels=latent_channels,
            down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * deeper,
            up_block_types=("CrossAttnUpBlock2D",) * deeper + ("UpBlock2D",),
            block_out_channels=config.widths,
            layers_per_block=1,
            cross_attention_dim=text_width,
            attention_head_dim=config.heads,
            norm_num_groups=32,
        )


def new_scheduler() -> DDIMScheduler:
    """Stable Diffusion 1.x's betas, rescaled so that the last step is pure noise."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


@dataclass(frozen=True)
class Batch:
    """Latents [B, C, 16, 16] fp32, noise as latents, timesteps [B]; and what they are told by."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    told: Any
    """B captions, or their tokens [B, 77]."""

    def part(self, some: slice) -> Batch:
        """Those samples alone."""
        return Batch(self.latents[some], self.noise[some], self.timesteps[some], self.told[some])


class UnetBatches:
    """Latents of images and mirror images, new captions: a function of the step's number."""

    def __init__(
        self,
        pictures: Pictures,
        latents: np.ndarray[Any, Any],
        config: UnetConfig,
        captioner: Captioner,
    ) -> None:
        self.pictures, self.latents = pictures, np.array(latents)
        self.config, self.captioner = config, captioner

    def __call__(self, step: int) -> Batch:
        """Batch number `step` of the training pictures."""
        loop, count = self.config.loop, len(self.pictures.pixels)
        both = np.concatenate([self.pictures.training, self.pictures.training + count])
        chosen = both[batch_indices(len(both), loop.batch, step, loop.seed)]
        return self._batch(
            chosen, step, "train", self.config.dropped_captions, self.config.named_captions
        )

    def held_out(self) -> Batch:
        """Held-out pictures, always with the same captions, noise and timesteps."""
        return self._batch(self.pictures.judged(self.config.judged), 0, "judge")

    def _batch(
        self,
        chosen: np.ndarray[Any, Any],
        step: int,
        stream: str,
        dropped: float = 0.0,
        named: float = 0.0,
    ) -> Batch:
        seed, size = self.config.loop.seed, len(chosen)
        facts = [self.pictures.attributes[i % len(self.pictures.pixels)] for i in chosen]
        rng = generator(seed, step, f"{stream} captions")
        captions = training_captions(facts, rng, self.captioner, dropped, named)
        latents = torch.from_numpy(self.latents[chosen].astype(np.float32))
        # Stratified: every batch sees the whole range of timesteps, which calms the loss.
        rng = generator(seed, step, f"{stream} timesteps")
        shares = (rng.permutation(size) + rng.random(size)) / size
        return Batch(
            latents,
            noise(tuple(latents.shape), generator(seed, step, f"{stream} noise")),
            torch.from_numpy((shares * 1000).astype(np.int64)),
            captions,
        )


def training_captions(
    facts: list[dict[str, str]],
    rng: np.random.Generator,
    captioner: Captioner,
    dropped: float,
    named: float,
) -> list[str]:
    """A caption of each of `facts`; shares of them left out (empty), and with a name in them."""
    captions = captions_of(facts, rng, captioner)
    keep = rng.random(len(captions)) >= dropped
    captions = [
        with_name(caption, a_name(rng), rng)[0] if rng.random() < named else caption
        for caption in captions
    ]
    return [caption if kept else "" for caption, kept in zip(captions, keep, strict=True)]


class Conditioner:
    """Captions to prompt embeddings: the frozen text tower's last, normalised states."""

    def __init__(self, text_tower: Any) -> None:
        self.text_tower = text_tower.requires_grad_(False).eval()
        self.tokenizer: Any = clip_tokenizer()

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> Tensor:
        """B captions to [B, 77, width]."""
        tokens = self.tokenizer(
            list(captions), padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        states: Tensor = self.text_tower(tokens.to(self.text_tower.device)).last_hidden_state
        return states


@torch.no_grad()
def channel_weights(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """The loss weight of each latent channel, by its effect on the decoded image: [1, C, 1, 1], mean 1.

    Latents have unit variance a channel, but the finest ones, nearly noise, hardly show: what is
    measured is the decoder's mean squared answer to a little noise on one channel of `latents`
    [B, C, h, w]. Unweighted, most of the loss would be theirs.
    """
    latents = latents.to(vae.device, vae.dtype)
    decoded = vae.decode(latents).sample.float()
    spread = noise(tuple(latents[:, 0].shape), generator(0, 0, "channel weights"))
    answers = []
    for channel in range(latents.shape[1]):
        moved = latents.clone()
        moved[:, channel] += (spread / 2).to(vae.device, vae.dtype)
        answers.append((vae.decode(moved).sample.float() - decoded).square().mean())
    weights = torch.stack(answers)
    return (weights / weights.mean())[None, :, None, None]


def velocity_loss(
    unet: UNet2DConditionModel, batch: Batch, states: Tensor, signal: Tensor, weights: Tensor
) -> Tensor:
    """Mean squared error of the velocity, each channel by its weight.

    `signal` is the schedule's cumulative alpha [1000]; `weights` see `channel_weights`.
    """
    latents, eps = batch.latents.to(unet.device), batch.noise.to(unet.device)
    timesteps = batch.timesteps.to(unet.device)
    alpha = signal[timesteps].sqrt()[:, None, None, None]
    sigma = (1 - signal[timesteps]).sqrt()[:, None, None, None]
    noisy = (alpha * latents + sigma * eps).to(unet.dtype)
    noisy = noisy.to(memory_format=torch.channels_last)
    predicted = unet(noisy, timesteps, states).sample
    error = predicted.float() - (alpha * eps - sigma * latents)
    return (error.square() * weights).mean()


def train_unet(
    folder: Path,
    config: UnetConfig,
    vae_config: VaeConfig,
    clip_config: ClipConfig,
    budget: Budget,
    captioner: Captioner = world_caption,
) -> Report:
    """Train the denoiser on the latents of `folder`, from its checkpoint if any."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batches = UnetBatches(open_packed(folder), open_latents(folder), config, captioner)
    conditioner = Conditioner(
        for_computing(load_named_clip(folder, clip_config).text_model, device)
    )
    unet: Any = for_computing(
        new_unet(config, vae_config.latent_channels, clip_config.text_width), device
    )
    signal = new_scheduler().alphas_cumprod.to(device)
    vae = for_computing(folded_vae(folder, vae_config), device)
    weights = channel_weights(vae, batches.held_out().latents[:32])

    def loss(step: int) -> Tensor:
        return loss_of(batches(step))

    def evaluate() -> Report:
        sheet = sample(_pipeline(unet, vae, conditioner), list(PROMPTS), config)
        state.save_picture(folder / "unet.png", np.hstack(list(sheet)))
        return {"held-out loss": mean_loss(batches.held_out(), loss_of)}

    def loss_of(batch: Batch) -> Tensor:
        return velocity_loss(unet, batch, conditioner(batch.told), signal, weights)

    stepper = Stepper(unet, config.optimizer)
    loop = Loop("unet", folder, stepper, config.loop, loss, evaluate)
    with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
        return loop.run(budget)  # PyTorch's fused attention is slow backwards on the CPU


@torch.no_grad()
def mean_loss(batch: Batch, loss_of: Callable[[Batch], Tensor], part: int = 32) -> float:
    """The mean loss over a large batch, taken in parts."""
    total, count = 0.0, len(batch.latents)
    for start in range(0, count, part):
        piece = batch.part(slice(start, start + part))
        total += float(loss_of(piece)) * len(piece.latents)
    return total / count


def _pipeline(unet: Any, vae: Any, conditioner: Conditioner) -> Any:
    """A diffusers pipeline over the modules as they are (no copy)."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=conditioner.text_tower,
        tokenizer=conditioner.tokenizer,
        unet=unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sample(pipeline: Any, prompts: list[str], config: UnetConfig) -> Pixels:
    """One image per prompt, always from the same noise: uint8 [len(prompts), 128, 128, 3]."""
    pictures = pipeline(
        prompts,
        num_inference_steps=config.sample_steps,
        guidance_scale=config.guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in range(len(prompts))],
        output_type="np",
    ).images
    return (pictures * 255).round().astype(np.uint8)
