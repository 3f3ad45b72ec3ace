"""Inpainting a region with a base: differential diffusion over the latents of a crop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from packshot.errors import PackshotError
from packshot.insertion.background import Colours

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from packshot.models.conditioning import Conditioning
    from packshot.models.diffusion_model import DiffusionModel


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
    Steps, timesteps and guidance are those of the base's pipeline, so that with strength 1 everywhere
    it is the picture that the pipeline makes of the same noise. Works with any base; inpainting bases
    also get the mask. The crop's sides must be multiples of `base.pixel_multiple`.

    Raises:
        InsufficientMemoryError: the memory does not suffice for the crop.
    """
    import torch

    from packshot.models.device_memory import within_memory

    size = crop.shape[1], crop.shape[0]
    for side in size:
        if side % base.pixel_multiple:
            raise PackshotError(
                f"{side} pixels do not fit {base.name}: a multiple of {base.pixel_multiple} does."
            )
    paint = partial(_painted, base, crop, strength, prompt, seed, steps, guidance_scale)
    with torch.no_grad():
        return within_memory(base, paint, f"{size[0]} x {size[1]} px")


def _painted(
    base: DiffusionModel,
    crop: Colours,
    strength: Colours,
    prompt: str,
    seed: int,
    steps: int,
    guidance_scale: float,
) -> Colours:
    """See `inpaint`."""
    import torch

    from packshot.models.device_memory import within_memory

    # In fp32, whatever the base's precision: each step adds little.
    known = base.encode_images(_tensor(crop)).float()
    shape = known.shape[-2:]
    allowed = torch.from_numpy(
        cv2.resize(strength, tuple(shape[::-1]), interpolation=cv2.INTER_AREA)
    )
    allowed = allowed.to(known)[None, None]
    conditioning = _conditioning(base, prompt, crop, allowed, guidance_scale)
    generator = torch.Generator().manual_seed(seed)
    scheduler = base.inference_scheduler(steps, *shape)
    latents = _denoised(base, known, allowed, generator, scheduler, conditioning, guidance_scale)
    # By itself, so that nothing is denoised again where only the VAE must work in tiles.
    decode = partial(base.decode_latents, latents)
    return _colours(within_memory(base, decode, f"{crop.shape[1]} x {crop.shape[0]} px"))


def _denoised(
    base: DiffusionModel,
    known: Tensor,
    allowed: Tensor,
    generator: Generator,
    scheduler: Any,
    conditioning: Sequence[Conditioning],
    guidance_scale: float,
) -> Tensor:
    """Denoises from pure noise to the final latents; the crop's latents outside the region."""
    import torch

    noise = torch.randn(known.shape, generator=generator).to(known)
    times = scheduler.timesteps
    reached = [allowed >= 1 - (step + 0.5) / len(times) for step in range(len(times))]
    # No pixel's strength reaches the noise levels before this step's.
    begin = next((step for step, region in enumerate(reached) if region.any()), None)
    if begin is None:
        return known
    scheduler.set_begin_index(begin)
    latents = noise if begin == 0 else base.schedule.add_noise(known, noise, times[begin, None])
    for region, time in zip(reached[begin:], times[begin:], strict=True):
        fixed = base.schedule.add_noise(known, noise, time[None])
        latents = torch.where(region, latents, fixed)
        predicted = _predicted(base, latents, time, conditioning, guidance_scale)
        latents = scheduler.step(predicted, time, latents, generator=generator).prev_sample
    return torch.where(allowed > 0, latents, known)


def _predicted(
    base: DiffusionModel,
    latents: Tensor,
    time: Tensor,
    conditioning: Sequence[Conditioning],
    guidance_scale: float,
) -> Tensor:
    """The denoiser's output in fp32, guided if there are two conditionings."""
    noisy = latents.to(base.dtype)
    predicted, *unguided = [base.predict(noisy, time[None], told).float() for told in conditioning]
    return base.guide(predicted, unguided[0], guidance_scale) if unguided else predicted


def _conditioning(
    base: DiffusionModel, prompt: str, crop: Colours, allowed: Tensor, guidance_scale: float
) -> list[Conditioning]:
    """The prompt's conditioning, and the empty prompt's if guidance takes two passes.

    With an inpainting base, also the mask and the latents of the masked crop.
    """
    import torch

    from packshot.models.conditioning import SizeConditioning

    size = crop.shape[1], crop.shape[0]
    conditionings = []
    for text in (prompt, "")[: base.count_passes(guidance_scale)]:
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
