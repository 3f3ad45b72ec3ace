"""Inpainting a region with a base: differential diffusion over the latents of a crop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.errors import PackshotError
from packshot.insertion.background import Colours

if TYPE_CHECKING:
    from torch import Tensor

    from packshot.models.diffusion_model import Conditioning, DiffusionModel


def inpaint(
    base: DiffusionModel,
    crop: Colours,
    strength: Colours,
    prompt: str,
    *,
    seed: int,
    steps: int,
    guidance_scale: float,
) -> Colours:
    """Inpaint a crop with a denoising strength per pixel, `strength` [h, w]: 0 keeps, 1 regenerates.

    Differential diffusion (arXiv 2306.00950): at each step the denoiser changes only pixels whose
    strength is high enough for that step's noise level; the others are the crop with as much noise.
    Steps are DDIM's (arXiv 2010.02502), which for rectified flows are Euler's. Works with any base;
    inpainting bases also get the mask. The crop's sides must be multiples of `base.pixel_multiple`.
    """
    import torch

    size = crop.shape[1], crop.shape[0]
    for side in size:
        if side % base.pixel_multiple:
            raise PackshotError(
                f"{side} pixels do not fit {base.name}: a multiple of {base.pixel_multiple} does."
            )
    with torch.no_grad():
        known = base.encode_images(_tensor(crop))
        shape = known.shape[-2:]
        allowed = torch.from_numpy(
            cv2.resize(strength, tuple(shape[::-1]), interpolation=cv2.INTER_AREA)
        )
        allowed = allowed.to(known)[None, None]
        conditioning = _conditioning(base, prompt, crop, allowed, guidance_scale)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(known.shape, generator=generator).to(known)
        times = base.schedule.inference_timesteps(steps, int(shape.numel())).to(base.device)
        latents = _denoised(base, known, allowed, noise, times, conditioning, guidance_scale)
        return _colours(base.decode_latents(latents))


def _denoised(
    base: DiffusionModel,
    known: Tensor,
    allowed: Tensor,
    noise: Tensor,
    times: Tensor,
    conditioning: Sequence[Conditioning],
    guidance_scale: float,
) -> Tensor:
    """Denoises from pure noise to the final latents; the crop's latents outside the region."""
    steps, schedule = len(times), base.schedule
    latents = schedule.add_noise(known, noise, times[:1])
    for index, time in enumerate(times):
        left = 1 - index / steps
        if float(allowed.max()) < left - 1 / steps:
            continue  # no pixel's strength reaches this noise level
        now = time[None]
        fixed = schedule.add_noise(known, noise, now)
        latents = (allowed >= left - 0.5 / steps).to(known) * (latents - fixed) + fixed
        predictions = [base.predict(latents, now, condition) for condition in conditioning]
        predicted = predictions[0]
        if len(predictions) == 2:
            predicted = predictions[1] + guidance_scale * (predictions[0] - predictions[1])
        image, remaining = schedule.predict_x0_and_noise(latents, predicted, now)
        if index + 1 == steps:
            return (allowed > 0).to(known) * (image - known) + known
        latents = schedule.add_noise(image, remaining, times[index + 1][None])
    return known


def _conditioning(
    base: DiffusionModel, prompt: str, crop: Colours, allowed: Tensor, guidance_scale: float
) -> list[Conditioning]:
    """The prompt's conditioning, and the empty prompt's if guidance takes two passes.

    With an inpainting base, also the mask and the latents of the masked crop.
    """
    import torch

    from packshot.models.diffusion_model import SizeConditioning

    size = crop.shape[1], crop.shape[0]
    conditionings = []
    for text in (prompt,) if base.is_guidance_distilled or guidance_scale <= 1 else (prompt, ""):
        condition = base.add_size_conditioning(
            base.encode_prompts([text]), [SizeConditioning(size, (0, 0), size)]
        )
        if base.is_guidance_distilled:
            condition = condition | {"guidance": torch.tensor([guidance_scale])}
        if base.is_inpainting:
            mask = (allowed > 0).float()
            wide = cv2.resize(mask[0, 0].cpu().numpy(), size, interpolation=cv2.INTER_NEAREST)
            grey = crop * (1 - wide[..., None]) + 0.5 * wide[..., None]
            condition = condition | {
                "region": torch.cat([mask.to(allowed), base.encode_images(_tensor(grey))], 1)
            }
        conditionings.append(condition)
    return conditionings


def _tensor(colours: Colours) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(colours * 2 - 1, np.float32)).permute(2, 0, 1)[
        None
    ]


def _colours(pixels: Tensor) -> Colours:
    return ((pixels[0].float().cpu().permute(1, 2, 0).numpy() + 1) / 2).clip(0, 1)
