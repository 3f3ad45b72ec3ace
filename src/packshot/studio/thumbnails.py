"""Small versions of pictures, kept in the user's cache."""

from __future__ import annotations

import threading
from pathlib import Path

from PIL import Image

from packshot.images.loading import open_image
from packshot.images.masks import read_drawn
from packshot.utils import caches, files, hashing

WIDTHS = (160, 320, 640, 1280)
_AT_ONCE = threading.Semaphore(2)
"""Whole pictures in memory."""


def thumbnail(file: Path, width: int, mask: Path | None = None) -> Path:
    """A WebP of a picture, no wider and no higher than `width`, upright.

    Args:
        mask: of the picture's shape, white on what stays visible.

    Raises:
        ImageRejectedError: it is no image that can be read.
    """
    marks = [mask and hashing.stamp(mask)]
    made_of = [str(file.resolve()), hashing.stamp(file), width, *marks]
    small = caches.cache_folder() / "studio" / "thumbnails" / f"{hashing.fingerprint(made_of)}.webp"
    if small.is_file():
        return small
    with _AT_ONCE:
        image = open_image(file)
        image.thumbnail((width, width), Image.Resampling.LANCZOS)
        if mask:
            image.putalpha(read_drawn(mask).image.resize(image.size, Image.Resampling.BOX))
        files.write_image(small, image, quality=82)
    return small
