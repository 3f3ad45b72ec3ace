"""A picture that is learnt from: a photo or class image at one crop, its pixels and its mask."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from packshot.errors import StaleRunError
from packshot.images.buckets import bucket, cover_box
from packshot.images.loading import open_image
from packshot.images.masks import read_mask
from packshot.models.conditioning import SizeConditioning
from packshot.utils import hashing

MIN_ZOOM = 0.85
"""Of the closest crop: its sides as a share of the largest's."""


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
        """All that its latents depend on beside the base, as a file name."""
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
    mask_sha256 = hashing.sha256(mask) if mask else ""
    return Picture(file, sha256, prompt, (width, height), size, box, mask, mask_sha256)


def to_pixels(picture: Picture) -> Tensor:
    """Decode, crop, resize: [1, 3, H, W] in [-1, 1]."""
    from PIL import Image

    image = open_image(picture.file).resize(picture.size, Image.Resampling.LANCZOS, box=picture.box)
    array = np.asarray(image, dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def require_unchanged(picture: Picture) -> None:
    """Compare the files with the hashes in its key.

    Raises:
        StaleRunError: one was changed since it was listed.
    """
    for file, sha256 in ((picture.file, picture.sha256), (picture.mask, picture.mask_sha256)):
        if file and hashing.known_sha256(file) != sha256:
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
