"""The cache of latents and prompt embeddings on disk, each a function of its content alone.

Entries are keyed by the base's hash and the image's (or the prompt's), so projects of one class and
base share the latents of their class images, and a run that was killed while caching resumes where
it was. Damaged ones are made anew.

On the CPU they are encoded one by one: an entry must not depend on the others in its batch, not even
in its last bit. A GPU encodes several at once, and promises no bits; but batches are formed from all
that a run will see, whatever of it is there already, so that a resumed run forms the same.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from packshot.errors import StaleRunError
from packshot.images.buckets import bucket, cover_box
from packshot.images.loading import open_image
from packshot.images.masks import read_mask
from packshot.models.conditioning import (
    Conditioning,
    SizeConditioning,
    join_conditionings,
    split_conditioning,
)
from packshot.models.device_memory import attempt, within_memory
from packshot.models.diffusion_model import DiffusionModel
from packshot.training.cache_entry import read_entry, require_entry, write_entry
from packshot.training.processes import ALONE, Processes
from packshot.training.sampler import seed_of
from packshot.utils import files

MIN_ZOOM = 0.85
AT_ONCE = 4
"""Images of one size that are decoded together for a GPU, and prompts that it encodes together."""
PIXELS_AT_ONCE = 2**21
"""Of images that a GPU encodes together: more would take longer and more memory than a step has."""
T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """A training image at one crop. `box` is (left, upper, right, lower) in the file's pixels."""

    file: Path
    sha256: str
    prompt: str
    original: tuple[int, int]
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    mask: Path | None = None
    mask_sha256: str = ""

    def shown(self) -> SizeConditioning:
        """The size conditioning of this crop."""
        scale = self.size[0] / (self.box[2] - self.box[0])
        crop = (round(self.box[0] * scale), round(self.box[1] * scale))
        return SizeConditioning(self.original, crop, self.size)

    def key(self) -> str:
        mask = f"-{self.mask_sha256[:12]}" if self.mask else ""
        return f"{self.sha256}-{self.size[0]}x{self.size[1]}-{'_'.join(map(str, self.box))}{mask}"


def picture(
    file: Path,
    sha256: str,
    prompt: str,
    width: int,
    height: int,
    *,
    pixels: int,
    multiple: int,
    crop: int = 0,
    seed: int = 0,
    mask: Path | None = None,
    size: tuple[int, int] | None = None,
) -> Picture:
    """A training image in its aspect-ratio bucket. Crop 0 is the largest; others are a little closer.

    `width` and `height` are the file's; `pixels` is the side of a square bucket; `size` is another
    bucket than the image's own.
    """
    size = size or bucket(width, height, pixels, multiple)
    draw = random.Random(f"{seed}/{sha256}/{crop}")
    zoom = draw.uniform(MIN_ZOOM, 1.0) if crop else 1.0
    offset = (draw.random(), draw.random()) if crop else (0.5, 0.5)
    box = cover_box(width, height, *size, zoom=zoom, offset=offset)
    mask_sha256 = files.sha256(mask) if mask else ""
    return Picture(file, sha256, prompt, (width, height), size, box, mask, mask_sha256)


def to_pixels(picture: Picture) -> Tensor:
    """Decode, crop, resize: [1, 3, H, W] in [-1, 1]."""
    from PIL import Image

    image = open_image(picture.file).resize(picture.size, Image.Resampling.LANCZOS, box=picture.box)
    array = np.asarray(image, dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def _require_unchanged(picture: Picture) -> None:
    """Compare the files with the hashes that the cache goes by.

    Raises:
        StaleRunError: one was changed since it was listed.
    """
    for file, sha256 in ((picture.file, picture.sha256), (picture.mask, picture.mask_sha256)):
        if file and files.known_sha256(file) != sha256:
            raise StaleRunError(
                f"{file} was changed while it was used. Run the same command again."
            )


def to_mask(picture: Picture, latent_size: tuple[int, int]) -> Tensor:
    """The product's mask over the latents, [1, 1, h, w] in [0, 1], grown by one latent pixel.

    Thin parts would otherwise be lost at an eighth of the size.
    """
    if picture.mask is None:
        return torch.ones(1, 1, *latent_size)
    from PIL import Image

    drawn = read_mask(picture.mask, picture.original)
    gray = drawn.resize(picture.size, Image.Resampling.BOX, box=picture.box)
    mask = torch.from_numpy(np.asarray(gray, dtype=np.float32) / 255.0)[None, None]
    mask = torch.nn.functional.adaptive_max_pool2d(mask, latent_size)
    return torch.nn.functional.max_pool2d(mask, 3, stride=1, padding=1)


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
    folder = f"{base.content_hash[:16]}-{dtype}-{files.CACHE_VERSION}"
    return files.cache_folder() / kind / folder / f"{key}.safetensors"


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
            _require_unchanged(item)
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
    """Embeddings of prompts for one base, on disk and, being few, in memory."""

    base: DiffusionModel
    kept: dict[str, Conditioning] = field(default_factory=dict)

    def file(self, prompt: str) -> Path:
        return _entry(self.base, "prompts", files.sha256_of(prompt.encode()))

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

    def read(self, prompt: str) -> Conditioning:
        """The embeddings of one prompt; first dimension 1."""
        if prompt not in self.kept:
            self.fill([prompt])
            stored = require_entry(self.file(prompt))
            self.kept[prompt] = {name: value.to(self.base.device) for name, value in stored.items()}
        return self.kept[prompt]

    def stack(self, prompts: Sequence[str]) -> Conditioning:
        """The prompts' embeddings as one batch."""
        return join_conditionings([self.read(prompt) for prompt in prompts])


def reseed(seed: int, number: int) -> None:
    """Seed PyTorch's global generators for one micro-batch, as a function of (seed, slot number)."""
    torch.manual_seed(seed_of(seed, "global", number))
