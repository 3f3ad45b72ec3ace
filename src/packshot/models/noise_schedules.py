"""Noise schedules: DDPM (noise or velocity targets) and rectified flow.

Each family has one. They are those of training: a family's inference is by diffusers' own schedulers,
see `DiffusionModel.inference_scheduler`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from packshot.errors import ModelLoadError
from packshot.weights.loading import refusing


class NoiseSchedule(Protocol):
    """A noise schedule. Timesteps [B] are on the denoiser's scale."""

    config: Any
    """As diffusers' schedulers have it."""
    prediction_type: str
    """"epsilon", "v_prediction" or "flow"."""

    def timesteps_at(self, quantiles: Tensor, num_latent_pixels: int) -> Tensor:
        """Timesteps for uniform numbers [B] in [0, 1), through the family's training distribution.

        `num_latent_pixels` is a latent's height times width: some families add more noise to
        large images.
        """
        ...

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noisy latents [B, ...], each at its timestep."""
        ...

    def training_target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The training target for these noisy latents: noise, velocity or flow."""
        ...

    def loss_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """The loss weight of each timestep, [B] in fp32; gamma is min-SNR's, 0 turns it off."""
        ...


class DDPMSchedule:
    """DDPM's schedule (arXiv 2006.11239) from a scheduler's configuration; follows `NoiseSchedule`."""

    def __init__(self, config: dict[str, Any], where: Path, device: torch.device) -> None:
        """Read the betas and the prediction type.

        Raises:
            ModelLoadError: the configuration cannot be read, or has another prediction type.
        """
        from diffusers import DDPMScheduler

        with refusing(where):
            scheduler = DDPMScheduler.from_config(config)
        self.config = scheduler.config
        self._alphas = scheduler.alphas_cumprod.to(device, torch.float32)
        self._count = int(scheduler.config.num_train_timesteps)
        self.prediction_type = str(scheduler.config.prediction_type)
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise ModelLoadError(
                f"{where} predicts '{self.prediction_type}'; known are epsilon and v_prediction."
            )

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the signal-to-noise ratio of the last timestep is zero (arXiv 2305.08891)."""
        return float(self._alphas[-1]) == 0

    def timesteps_at(self, quantiles: Tensor, num_latent_pixels: int) -> Tensor:
        """Uniform integers, as DDPM's algorithm 1 asks."""
        return (quantiles * self._count).long()

    def _signal_and_noise(self, like: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        alphas = self._alphas[timesteps].view(-1, *(1,) * (like.ndim - 1))
        return alphas.sqrt(), (1 - alphas).sqrt()

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """DDPM, eq. 4."""
        signal, sigma = self._signal_and_noise(latents, timesteps)
        return signal * latents + sigma * noise

    def training_target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noise, or the velocity alpha noise - sigma x_0 (arXiv 2202.00512, app. D)."""
        if self.prediction_type == "epsilon":
            return noise
        signal, sigma = self._signal_and_noise(latents, timesteps)
        return signal * noise - sigma * latents

    def snr(self, timesteps: Tensor) -> Tensor:
        """Signal-to-noise ratio alpha_t^2 / sigma_t^2 of each timestep, [B] in fp32."""
        alphas = self._alphas[timesteps]
        return alphas / (1 - alphas)

    def loss_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """See `min_snr_weight`."""
        return min_snr_weight(self.snr(timesteps), gamma, self.prediction_type)


class FlowMatchSchedule:
    """Rectified flow with logit-normal timesteps (Esser et al. 2024, arXiv 2403.03206).

    x = (1 - s) x_0 + s noise, the target is noise - x_0, and s is the timestep over `scale`. Uniform
    numbers u become s = sigmoid(normal quantile of u), shifted to s' = k s / (1 + (k - 1) s) (their
    eq. 23), with k fixed, or growing with the resolution as in FLUX. Follows `NoiseSchedule`.

    Pictures are made with the checkpoint's own k. A LoRA learns with `training_shift`, by default the
    root of it: half as far from the noise levels at which fine print is decided. docs/plan.md has the
    table of what other trainers take.
    """

    prediction_type = "flow"

    def __init__(
        self,
        config: dict[str, Any],
        scale: float = 1000.0,
        patch: int = 2,
        training_shift: float | None = None,
    ) -> None:
        """`config` is that of a `FlowMatchEulerDiscreteScheduler`.

        `scale` is the timestep of pure noise, `patch` the side of a token in latent pixels.
        """
        self.config, self.scale, self.patch = config, scale, patch
        self._training_shift = training_shift

    def shift(self, num_latent_pixels: int) -> float:
        """The shift k for latents of `num_latent_pixels`."""
        config, tokens = self.config, num_latent_pixels / self.patch**2
        if not config.get("use_dynamic_shifting"):
            return float(config.get("shift", 1.0))
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        least, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        return math.exp(least + (most - least) * (tokens - low) / (high - low))

    def training_shift(self, num_latent_pixels: int) -> float:
        """The shift k of the timesteps that are learnt, for latents of `num_latent_pixels`."""
        return self._training_shift or math.sqrt(self.shift(num_latent_pixels))

    def timesteps_at(self, quantiles: Tensor, num_latent_pixels: int) -> Tensor:
        """Logit-normal, then shifted; fp32."""
        inside = quantiles.float().clamp(1e-4, 1 - 1e-4)
        even = torch.special.ndtri(inside).sigmoid()
        k = self.training_shift(num_latent_pixels)
        return self.scale * k * even / (1 + (k - 1) * even)

    def _sigma(self, like: Tensor, timesteps: Tensor) -> Tensor:
        return (timesteps / self.scale).view(-1, *(1,) * (like.ndim - 1)).to(like.dtype)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """(1 - s) latents + s noise."""
        sigma = self._sigma(latents, timesteps)
        return (1 - sigma) * latents + sigma * noise

    def training_target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """noise - latents."""
        return noise - latents

    def loss_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Ones: the density of timesteps already weights them."""
        return torch.ones_like(timesteps, dtype=torch.float32)


def min_snr_weight(snr: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """min(SNR, gamma) as a weight on the x_0 loss, for the model's own target (arXiv 2303.09556, eq. 8).

    For noise targets that is min(SNR, gamma) / SNR, for velocities min(SNR, gamma) / (SNR + 1).
    gamma = 0 turns it off.
    """
    if gamma == 0:
        return torch.ones_like(snr)
    if prediction_type == "v_prediction":
        return snr.clamp(max=gamma) / (snr + 1)
    return (gamma / snr).clamp(max=1)
