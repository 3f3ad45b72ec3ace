"""The cache of latents and prompt embeddings on disk, each a function of its content alone.

Entries are keyed by the base's hash and the image's (or the prompt's), so projects of one class and
base share the latents of their class images, and a run that was killed while caching resumes where
it was. Images are encoded one by one: an entry must not depend on the others in its batch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from packshot.images.buckets import bucket, cover_box
from packshot.images.loading import open_image, opened_picture
from packshot.models.device_memory import within_memory
from packshot.models.diffusion_model import (
    Conditioning,
    DiffusionModel,
    SizeConditioning,
    join_conditionings,
)
from packshot.training.sampler import seed_of
from packshot.utils import files

MIN_ZOOM = 0.85


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


def to_mask(picture: Picture, latent_size: tuple[int, int]) -> Tensor:
    """The product's mask over the latents, [1, 1, h, w] in [0, 1], grown by one latent pixel.

    Thin parts would otherwise be lost at an eighth of the size.
    """
    if picture.mask is None:
        return torch.ones(1, 1, *latent_size)
    from PIL import Image

    with opened_picture(picture.mask) as image:
        gray = image.convert("L").resize(picture.size, Image.Resampling.BOX, box=picture.box)
    mask = torch.from_numpy(np.asarray(gray, dtype=np.float32) / 255.0)[None, None]
    mask = torch.nn.functional.adaptive_max_pool2d(mask, latent_size)
    return torch.nn.functional.max_pool2d(mask, 3, stride=1, padding=1)


def _entry(base: DiffusionModel, kind: str, key: str) -> Path:
    """The file of a cache entry, separate for each base and dtype."""
    folder = f"{base.content_hash[:16]}-{str(base.dtype).removeprefix('torch.')}"
    return files.cache_folder() / kind / folder / f"{key}.safetensors"


@dataclass
class LatentCache:
    """Latents (and masks) of images for one base."""

    base: DiffusionModel
    kept: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def file(self, picture: Picture) -> Path:
        return _entry(self.base, "latents", picture.key())

    @torch.no_grad()
    def fill(self, pictures: Sequence[Picture]) -> Iterator[int]:
        """Encode the missing images, one after the other; yields how many are done."""
        for done, item in enumerate(pictures, start=1):
            file = self.file(item)
            if not file.exists():
                pixels = to_pixels(item).to(self.base.device, self.base.dtype)
                size = f"encoding an image of {item.size[0]} x {item.size[1]} px"
                encode = partial(self.base.encode_images, pixels)
                latents = within_memory(self.base, encode, size)[0].float().cpu()
                mask = to_mask(item, (latents.shape[-2], latents.shape[-1]))[0]
                files.write_safetensors(file, {"latents": latents, "mask": mask})
            yield done

    def read(self, item: Picture, *, keep: bool) -> tuple[Tensor, Tensor]:
        """Latents [C, h, w] and mask [1, h, w] in fp32; `keep` holds them in memory.

        The few photos are kept; thousands of class images stay on disk, so memory stays flat.
        """
        key = item.key()
        entry = self.kept.get(key) or load_file(self.file(item))
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
    def read(self, prompt: str) -> Conditioning:
        """The embeddings of one prompt; first dimension 1."""
        if prompt not in self.kept:
            file = self.file(prompt)
            if not file.exists():
                encoded = self.base.encode_prompts([prompt])
                files.write_safetensors(file, encoded)
            self.kept[prompt] = {
                name: value.to(self.base.device) for name, value in load_file(file).items()
            }
        return self.kept[prompt]

    def stack(self, prompts: Sequence[str]) -> Conditioning:
        """The prompts' embeddings as one batch."""
        return join_conditionings([self.read(prompt) for prompt in prompts])


def reseed(seed: int, number: int) -> None:
    """Seed PyTorch's global generators for one micro-batch, as a function of (seed, slot number)."""
    torch.manual_seed(seed_of(seed, "global", number))
