"""Prediction drift: how far a LoRA moves what the base predicts of other things of its class.

No picture is made of it. What pictures of the class look like with the LoRA and without is class drift
(`packshot.generation.metrics`): both grow together, but they are other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from packshot.class_images import ClassImage
from packshot.images.loading import open_image
from packshot.lora import Lora, fused
from packshot.models.conditioning import SizeConditioning
from packshot.models.device_memory import within_memory
from packshot.models.diffusion_model import DiffusionModel
from packshot.training.sampler import noise

EXAMPLES = 8


@dataclass(frozen=True)
class ClassExamples:
    """Noisy class images with their prompts, and what the base alone predicts of each.

    All lists have one entry an example; tensors' first dimension is 1.
    """

    noisy: list[Tensor]
    timesteps: list[Tensor]
    prompts: list[str]
    predictions: list[Tensor]


@torch.no_grad()
def class_examples(
    base: DiffusionModel, images: Sequence[ClassImage], class_noun: str, seed: int = 0
) -> ClassExamples:
    """Examples of a project's class images, one in each eighth of the timesteps; always the same.

    Without class images they are of noise alone, where a picture's shape is decided.

    Raises:
        InsufficientMemoryError: the memory does not suffice for one picture.
    """
    pixels = base.native_pixels
    chosen = [images[k * len(images) // EXAMPLES] for k in range(EXAMPLES)] if images else []
    prompts = [image.prompt for image in chosen] or [f"a photo of a {class_noun}"] * EXAMPLES
    blank = torch.zeros(1, 3, pixels, pixels)
    told = ClassExamples([], [], [], [])
    for number, prompt in enumerate(prompts):
        shown = _pixels(chosen[number], pixels) if chosen else blank
        encode = partial(base.encode_images, shown.to(base.device))
        latents = within_memory(base, encode, _size(base)).float()
        drawn = noise(number, seed, latents.shape[1:])[None].to(base.device)
        place = (number + 0.5) / EXAMPLES if chosen else 1 - (number + 0.5) / EXAMPLES**2
        times = base.schedule.timesteps_at(
            torch.tensor([place], dtype=torch.float64), latents[0, 0].numel()
        ).to(base.device)
        told.noisy.append(base.schedule.add_noise(latents, drawn, times))
        told.timesteps.append(times)
        told.prompts.append(prompt)
    told.predictions.extend(_predictions(base, told))
    return told


@torch.no_grad()
def prediction_drift(
    base: DiffusionModel, loras: Sequence[tuple[Lora, float]], examples: ClassExamples
) -> list[float]:
    """How much LoRAs change what is predicted of each example, relative to it: |on - off| / |off|.

    The noise, the timesteps and the prompts are the same, so nothing but the LoRA makes the difference.

    Raises:
        InsufficientMemoryError: the memory does not suffice for one picture.
    """
    with fused(base, loras):
        return [
            float((on - off).norm() / off.norm())
            for on, off in zip(_predictions(base, examples), examples.predictions, strict=True)
        ]


def _predictions(base: DiffusionModel, examples: ClassExamples) -> Iterator[Tensor]:
    for given in zip(examples.noisy, examples.timesteps, examples.prompts, strict=True):
        yield within_memory(base, partial(_predicted, base, *given), _size(base))


def _predicted(base: DiffusionModel, noisy: Tensor, times: Tensor, prompt: str) -> Tensor:
    side = base.native_pixels
    size = SizeConditioning((side, side), (0, 0), (side, side))
    # Anew each time: a LoRA may be in the text encoders, too.
    conditioning = base.add_size_conditioning(base.encode_prompts([prompt]), [size])
    base.bring_denoiser()
    return base.predict(noisy.to(base.dtype), times, conditioning).float()


def _size(base: DiffusionModel) -> str:
    return f"a picture of {base.native_pixels} x {base.native_pixels} px"


def _pixels(image: ClassImage, side: int) -> Tensor:
    """The middle square of a class image, [1, 3, side, side] in [-1, 1]."""
    from PIL import ImageOps

    small = ImageOps.fit(open_image(image.file), (side, side))
    array = np.asarray(small, np.float32) / 127.5 - 1
    return torch.from_numpy(array).permute(2, 0, 1)[None]
