"""The cache of latents and prompt embeddings on disk, each a function of its content alone.

Entries are keyed by the base's hash and the image's (or the prompt's), so projects of one class and
base share the latents of their class images, and a run that was killed while caching resumes where
it was. Damaged ones are made anew.

On the CPU they are encoded one by one: an entry must not depend on the others in its batch, not even
in its last bit. A GPU encodes several at once, and promises no bits; but batches are formed from all
that a run will see, whatever of it is there already, so that a resumed run forms the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from packshot.models.conditioning import Conditioning, join_conditionings, split_conditioning
from packshot.models.device_memory import attempt, within_memory
from packshot.models.diffusion_model import DiffusionModel
from packshot.training.cache_entry import read_entry, require_entry, write_entry
from packshot.training.picture import Picture, require_unchanged, to_mask, to_pixels
from packshot.training.processes import ALONE, Processes
from packshot.utils import caches, hashing

AT_ONCE = 4
"""Images of one size that are decoded together for a GPU, and prompts that it encodes together."""
PIXELS_AT_ONCE = 2**21
"""Of images that a GPU encodes together: more would take longer and more memory than a step has."""
T = TypeVar("T")


def _decode(pictures: Sequence[Picture]) -> Tensor:
    """Pixels [B, 3, H, W] of images of one size, at once: for a GPU that takes longer than encoding."""
    if len(pictures) == 1:
        return to_pixels(pictures[0])
    # Decoding changes the process's filters of warnings; threads do not restore them in order.
    with warnings.catch_warnings(), ThreadPoolExecutor(len(pictures)) as pool:
        return torch.cat(list(pool.map(to_pixels, pictures)))


def _batches(
    base: DiffusionModel, items: Sequence[T], kind: Callable[[T], Hashable]
) -> Iterator[list[T]]:
    """Items of one kind that are encoded together: on a GPU `AT_ONCE`, on the CPU one by one, in order."""
    if base.device.type != "cuda":
        yield from ([item] for item in items)
        return
    kinds: dict[Hashable, list[T]] = {}
    for item in items:
        kinds.setdefault(kind(item), []).append(item)
    for alike in kinds.values():
        yield from (alike[start : start + AT_ONCE] for start in range(0, len(alike), AT_ONCE))


def _entry(base: DiffusionModel, kind: str, key: str) -> Path:
    """The file of a cache entry, separate for each base and dtype, and version of the cache."""
    dtype = str(base.dtype).removeprefix("torch.")
    folder = f"{base.content_hash[:16]}-{dtype}-{caches.CACHE_VERSION}"
    return caches.cache_folder() / kind / folder / f"{key}.safetensors"


@dataclass
class LatentCache:
    """Latents (and masks) of images for one base."""

    base: DiffusionModel
    kept: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    is_one_by_one: bool = False
    """Whether memory did not suffice for several images."""

    def file(self, picture: Picture) -> Path:
        return _entry(self.base, "latents", picture.key())

    @torch.no_grad()
    def fill(self, pictures: Sequence[Picture], processes: Processes = ALONE) -> Iterator[int]:
        """Encode the images whose entries are missing or damaged; yields how many are done.

        Of several processes each encodes its share, and passes the others'.
        """
        done = 0
        batches = _batches(self.base, pictures, lambda item: item.size)
        for number, together in enumerate(batches):
            done += len(together)
            if number % processes.count != processes.rank:
                continue
            lacking = [item for item in together if read_entry(self.file(item)) is None]
            if lacking:
                self._encode(together, lacking)
            yield done

    def _encode(self, together: Sequence[Picture], lacking: Sequence[Picture]) -> None:
        for item in together:
            require_unchanged(item)
        pixels = _decode(together)
        latents = self._at_once(pixels)
        if latents is None:
            height, width = pixels.shape[-2:]
            size = f"encoding an image of {width} x {height} px"
            each = [partial(self._latents, [one]) for one in pixels.split(1)]
            latents = torch.cat([within_memory(self.base, one, size) for one in each])
        for item, own in zip(together, latents, strict=True):
            if item in lacking:
                mask = to_mask(item, (own.shape[-2], own.shape[-1]))[0]
                write_entry(self.file(item), {"latents": own, "mask": mask})

    def _at_once(self, pixels: Tensor) -> Tensor | None:
        """The latents of several images; None if they are too large, or memory does not suffice."""
        part = PIXELS_AT_ONCE // pixels[0, 0].numel()
        if len(pixels) == 1 or part < 2 or self.is_one_by_one:
            return None
        latents = attempt(self.base.device, partial(self._latents, pixels.split(part)))
        self.is_one_by_one = latents is None
        return latents

    def _latents(self, parts: Sequence[Tensor]) -> Tensor:
        place = self.base.device
        return torch.cat([self.base.encode_images(part.to(place)).float().cpu() for part in parts])

    def read(self, item: Picture, *, keep: bool) -> tuple[Tensor, Tensor]:
        """Latents [C, h, w] and mask [1, h, w] in fp32; `keep` holds them in memory.

        The few photos are kept; thousands of class images stay on disk, so memory stays flat.

        Raises:
            StaleRunError: the entry was lost or damaged since `fill`.
        """
        key = item.key()
        entry = self.kept.get(key) or require_entry(self.file(item))
        if keep:
            self.kept[key] = entry
        return entry["latents"], entry["mask"]


@dataclass
class PromptCache:
    """Embeddings of prompts for one base, on disk."""

    base: DiffusionModel
    kept: dict[str, Conditioning] = field(default_factory=dict)

    def file(self, prompt: str) -> Path:
        return _entry(self.base, "prompts", hashing.sha256_of(prompt.encode()))

    @torch.no_grad()
    def fill(self, prompts: Sequence[str]) -> None:
        """Encode the prompts whose entries are missing or damaged."""
        for together in _batches(self.base, prompts, lambda prompt: None):
            lacking = [prompt for prompt in together if read_entry(self.file(prompt)) is None]
            if lacking:
                self._encode(together, lacking)

    def _encode(self, together: list[str], lacking: Sequence[str]) -> None:
        encode = self.base.encode_prompts
        found = None
        if len(together) > 1:
            found = attempt(self.base.device, lambda: split_conditioning(encode(together)))
        if found is None:
            found = [encode([prompt]) for prompt in together]
        for prompt, encoded in zip(together, found, strict=True):
            if prompt in lacking:
                write_entry(self.file(prompt), encoded)

    def read(self, prompt: str, *, keep: bool = True) -> Conditioning:
        """The embeddings of one prompt, on the CPU; first dimension 1. `keep` holds them in memory.

        The photos' are kept. Those of class images, each with its own prompt, stay on disk: a large
        reader's take megabytes each, more than a planned GPU has left.

        Raises:
            StaleRunError: the entry was lost or damaged since `fill`.
        """
        entry = self.kept.get(prompt) or require_entry(self.file(prompt))
        if keep:
            self.kept[prompt] = entry
        return entry

    def stack(self, prompts: Sequence[str], kept: Sequence[bool]) -> Conditioning:
        """The prompts' embeddings as one batch, on the base's device; `kept` as `keep` of each."""
        each = [self.read(prompt, keep=keep) for prompt, keep in zip(prompts, kept, strict=True)]
        return {
            name: value.to(self.base.device) for name, value in join_conditionings(each).items()
        }
