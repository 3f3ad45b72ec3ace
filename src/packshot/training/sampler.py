"""Which picture, crop, caption, noise and timestep each slot of a run sees.

A run is one long row of slots, `batch` of them a step. Everything about a slot is a function of
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
"""Parts of the timesteps' range that are dealt like the pictures."""


@dataclass(frozen=True)
class Slot:
    """What a slot trains on: the `index`-th photo or class image, which crop, with its caption or none.

    `position` counts the slots of its kind, photos or class images, before it.
    """

    number: int
    position: int
    is_class: bool
    index: int
    crop: int
    drop_caption: bool


def seed_of(seed: int, stream: str, number: int) -> int:
    """A 63-bit seed for one use of randomness, independent of all others."""
    digest = hashlib.sha256(f"{seed}/{stream}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@lru_cache(maxsize=16)
def _order(seed: int, stream: str, epoch: int, count: int) -> list[int]:
    order = list(range(count))
    random.Random(seed_of(seed, stream, epoch)).shuffle(order)
    return order


def _shuffled_epoch(seed: int, stream: str, position: int, count: int) -> tuple[int, int]:
    """The picture at `position` of an endless shuffled deal, and how often all were dealt before."""
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
    """The slot with this number: pictures are dealt like cards, so all are seen equally often."""
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
    """Where in the range of timesteps the slot is, in [0, 1): uniform, but stratified.

    Any 8 slots of one kind that are dealt together have one in each eighth of the range: the
    gradient varies less from step to step.
    """
    kind = "class images" if slot.is_class else "photos"
    stratum, _ = _shuffled_epoch(seed, f"timesteps of {kind}", slot.position, TIMESTEP_STRATA)
    within = random.Random(seed_of(seed, "timestep", slot.number)).random()
    return (stratum + within) / TIMESTEP_STRATA


def noise(number: int, seed: int, shape: torch.Size) -> Tensor:
    """Standard normal noise for the slot, made on the CPU so that every device sees the same."""
    generator = torch.Generator().manual_seed(seed_of(seed, "noise", number))
    return torch.randn(shape, generator=generator)
