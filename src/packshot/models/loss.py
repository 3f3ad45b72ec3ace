"""The loss of a batch: DreamBooth's, with min-SNR weighting and masks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from packshot.models.conditioning import Conditioning
from packshot.models.diffusion_model import DiffusionModel


@dataclass(frozen=True)
class Batch:
    """A batch of images of one shape. All tensors' first dimension is the batch size B.

    Attributes:
        latents: [B, C, h, w], clean.
        noise: [B, C, h, w].
        timesteps: [B].
        conditioning: the prompts' embeddings.
        masks: [B, 1, h, w] weights in [0, 1], 1 where the product is; all ones without masks.
        weights: [B], 1 for photos, the prior loss weight for class images.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    conditioning: Conditioning
    masks: Tensor
    loss_weights: Tensor


def per_image_loss(base: DiffusionModel, batch: Batch, gamma: float) -> Tensor:
    """The loss of each image, [B] in fp32: masked mean squared error x min-SNR weight.

    The prior loss weight (`batch.weights`) is not included.
    """
    schedule = base.schedule
    noisy = schedule.add_noise(batch.latents, batch.noise, batch.timesteps)
    target = schedule.training_target(batch.latents, batch.noise, batch.timesteps).float()
    prediction = base.predict(noisy.to(base.dtype), batch.timesteps, batch.conditioning).float()
    error = (prediction - target).square().mean(dim=1, keepdim=True) * batch.masks
    weighed = batch.masks.sum(dim=(1, 2, 3)).clamp(min=1e-6)  # where nothing counts: no loss
    per_picture = error.sum(dim=(1, 2, 3)) / weighed
    return per_picture * schedule.loss_weight(batch.timesteps, gamma)
