"""Which picture, crop, caption, noise and timestep each slot of a run sees.

A run is a sequence of slots, `effective_batch_size` per step. Everything about a slot is a function of
(seed, slot number), so there is no sampler state to save, and none to restore wrongly.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

TIMESTEP_STRATA = 8
"""Strata of the timesteps' range, drawn without replacement like the images."""


@dataclass(frozen=True)
class Slot:
    """One training example: the `index`-th photo or class image, its crop, whether its caption is dropped.

    `position` counts the slots of its kind, photos or class images, before it.
    """

    number: int
    position: int
    is_class: bool
    index: int
    crop: int
    drop_caption: bool


def seed_of(seed: int, stream: str, number: int) -> int:
    """A 63-bit seed for one use of randomness, independent of all other uses."""
    digest = hashlib.sha256(f"{seed}/{stream}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@lru_cache(maxsize=16)
def _order(seed: int, stream: str, epoch: int, count: int) -> list[int]:
    order = list(range(count))
    random.Random(seed_of(seed, stream, epoch)).shuffle(order)
    return order


def _shuffled_epoch(seed: int, stream: str, position: int, count: int) -> tuple[int, int]:
    """The index at `position` of endlessly repeated, reshuffled epochs, and the epoch's number."""
    epoch, place = divmod(position, count)
    return _order(seed, stream, epoch, count)[place], epoch


def slot(
    number: int,
    *,
    seed: int,
    photos: int,
    class_images: int,
    class_image_ratio: float,
    crops_per_photo: int = 1,
    caption_dropout: float = 0.0,
) -> Slot:
    """The slot with this number.

    Sampling without replacement, reshuffled each epoch: every image is seen equally often.
    """
    share = class_image_ratio if class_images else 0.0
    class_before = math.floor(number * share)
    is_class = math.floor((number + 1) * share) > class_before
    if is_class:
        index, _ = _shuffled_epoch(seed, "class images", class_before, class_images)
        return Slot(number, class_before, True, index, 0, False)
    position = number - class_before
    index, epoch = _shuffled_epoch(seed, "photos", position, photos)
    crop = (epoch + index) % crops_per_photo
    dropped = random.Random(seed_of(seed, "caption", number)).random() < caption_dropout
    return Slot(number, position, False, index, crop, dropped)


def timestep_quantile(slot: Slot, seed: int) -> float:
    """The slot's quantile of the timestep distribution, in [0, 1): uniform, but stratified.

    Each 8 consecutive slots of one kind have one quantile in each eighth of the range: the gradient
    varies less from step to step.
    """
    kind = "class images" if slot.is_class else "photos"
    stratum, _ = _shuffled_epoch(seed, f"timesteps of {kind}", slot.position, TIMESTEP_STRATA)
    within = random.Random(seed_of(seed, "timestep", slot.number)).random()
    return (stratum + within) / TIMESTEP_STRATA


def noise(number: int, seed: int, shape: torch.Size) -> Tensor:
    """Standard normal noise for the slot, drawn on the CPU so that every device gets the same."""
    generator = torch.Generator().manual_seed(seed_of(seed, "noise", number))
    return torch.randn(shape, generator=generator)


def reseed(seed: int, number: int) -> None:
    """Seed PyTorch's global generators for one micro-batch, as a function of (seed, slot number)."""
    torch.manual_seed(seed_of(seed, "global", number))
