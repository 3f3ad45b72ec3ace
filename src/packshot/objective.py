"""The loss of a batch: DreamBooth's, with min-SNR weighting and masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from packshot.bases.base import Base, Conditioning


@dataclass(frozen=True)
class Batch:
    """Pictures of one shape. All tensors' first dimension is the batch B.

    Attributes:
        latents: [B, C, h, w], clean.
        noise: [B, C, h, w].
        timesteps: [B], integers.
        conditioning: the prompts, encoded.
        masks: [B, 1, h, w] weights in [0, 1], 1 where the product is; all ones without masks.
        weights: [B], 1 for photos, the prior's weight for class images.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    conditioning: Conditioning
    masks: Tensor
    weights: Tensor


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


def losses(base: Base, batch: Batch, gamma: float) -> Tensor:
    """The loss of each picture, [B] in fp32: masked mean squared error x min-SNR weight.

    The prior's weight (`batch.weights`) is not yet in it.
    """
    noisy = base.add_noise(batch.latents, batch.noise, batch.timesteps)
    target = base.target(batch.latents, batch.noise, batch.timesteps).float()
    prediction = base.predict(noisy.to(base.dtype), batch.timesteps, batch.conditioning).float()
    error = (prediction - target).square().mean(dim=1, keepdim=True) * batch.masks
    per_picture = error.sum(dim=(1, 2, 3)) / batch.masks.sum(dim=(1, 2, 3))
    return per_picture * min_snr_weight(base.snr(batch.timesteps), gamma, base.prediction_type)
