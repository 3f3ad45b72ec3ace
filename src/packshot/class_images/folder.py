"""Class images from a folder of the user's; the pictures stay where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from packshot import files
from packshot.class_images.manifest import ClassImage
from packshot.errors import ClassImagesError, PictureRefused
from packshot.photos import PICTURE_ENDINGS
from packshot.pictures import open_image
from packshot.progress import Progress
from packshot.side_cars import caption_file, read_caption

MIN_SIDE = 64


def from_folder(folder: Path, noun: str, count: int, progress: Progress) -> Iterator[ClassImage]:
    """Up to `count` readable pictures, drawn from all over the folder, in name order.

    A side-car `.txt` is the picture's prompt. Pictures are opened one at a time.

    Raises:
        ClassImagesError: there is no such folder, or no picture in it can be read.
    """
    if not folder.is_dir():
        raise ClassImagesError(f"There is no folder {folder}. Name one with pictures of the class.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    chosen = sorted(sorted(found, key=_lot)[:count])
    readable = 0
    for done, path in enumerate(chosen, start=1):
        try:
            image = open_image(path)
        except PictureRefused:
            continue
        finally:
            progress("class images", done, len(chosen))
        if min(image.size) < MIN_SIDE:
            continue
        readable += 1
        side_car = caption_file(path)
        prompt = read_caption(side_car) if side_car else f"a photo of a {noun}"
        yield ClassImage(
            path.resolve(),
            files.sha256(path),
            image.width,
            image.height,
            prompt,
            str(path.resolve()),
        )
    if not readable:
        raise ClassImagesError(
            f"None of the {len(found)} pictures in {folder} can be used; JPEG, PNG, WebP and HEIC can."
        )


def _lot(path: Path) -> bytes:
    """A fixed order without favourites, so that fewer pictures are still a fair sample."""
    return hashlib.sha256(path.name.encode()).digest()
