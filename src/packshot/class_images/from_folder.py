"""Class images from a folder, opened one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packshot.class_images.class_image import ClassImage
from packshot.class_images.manifest import read_folder_metadata
from packshot.errors import ClassImagesError, ImageRejectedError, Refusal
from packshot.images import sidecars
from packshot.images.caption_text import Remarks, Syntax
from packshot.images.loading import open_image
from packshot.images.sources import picture_files
from packshot.utils import hashing
from packshot.utils.progress import Progress
from packshot.utils.text import with_article

MIN_SIDE = 64
_GOLDEN = (math.sqrt(5) - 1) / 2


def from_folder(
    folder: Path,
    noun: str,
    count: int,
    known: Mapping[str, ClassImage],
    refused: dict[str, str],
    progress: Progress,
) -> Iterator[ClassImage]:
    """Up to `count` usable images of a folder, evenly chosen; the files are not copied.

    A side-car `.txt` is an image's prompt. A `manifest.jsonl` in the folder, one JSON object per
    line, may give `file`, `prompt`, `source`, `author`, `licence`, `title` and `licence_url`, as in
    a project.

    Args:
        known: images that were usable before, by SHA-256.
        refused: receives the names of unusable images, with the reasons.

    Raises:
        ClassImagesError: there is no such folder, or no usable image in it.
    """
    if not folder.is_dir():
        raise ClassImagesError(f"There is no folder {folder}. Name one with images of the class.")
    paths = _evenly(list(picture_files(folder)))
    metadata, remarks = read_folder_metadata(folder), Remarks()
    seen: dict[str, str] = {}
    for path in paths:
        if len(seen) == count:
            break
        try:
            told = _with_caption(path, metadata.get(sidecars.same_form(path.name), {}), remarks)
            image = class_image(path, noun, known, told)
            if image.sha256 in seen:
                raise ImageRejectedError(
                    path.name, f"is the same file as {seen[image.sha256]}", "duplicate"
                )
        except ImageRejectedError as error:
            refused[path.name] = error.reason
            continue
        seen[image.sha256] = path.name
        progress("class images", len(seen), min(count, len(paths) - len(refused)))
        yield image
    for kind, names in remarks.names.items():
        refused |= {name: Refusal(f"is used, but has {kind}", "used") for name in names}
    if not seen and count:
        raise ClassImagesError(_nothing(folder, refused))


def _evenly(paths: Sequence[Path]) -> list[Path]:
    """The paths in an order of which any first few are evenly spread over the list.

    Sorted by the multiples of the golden ratio modulo 1 (a low-discrepancy sequence).
    """
    return [paths[index] for index in sorted(range(len(paths)), key=lambda i: i * _GOLDEN % 1)]


def _with_caption(path: Path, told: Mapping[str, Any], remarks: Remarks) -> Mapping[str, Any]:
    """An image's metadata, with its side-car as the prompt if it has one."""
    caption = sidecars.caption_file(path)
    try:
        if caption is None:
            return told
        text = Syntax().read(sidecars.read_text(caption), caption.name, remarks)
        return {**told, "prompt": text}
    except OSError as error:
        raise ImageRejectedError(path.name, f"cannot be read ({error.strerror})") from error


def class_image(
    path: Path, noun: str, known: Mapping[str, ClassImage], told: Mapping[str, Any]
) -> ClassImage:
    """An image file as a class image, not copied.

    Args:
        known: images that were usable before, by SHA-256.
        told: metadata: any of `prompt`, `source`, `author`, `licence`, `title`, `licence_url`.

    Raises:
        ImageRejectedError: the image cannot be used.
    """
    try:
        sha256 = hashing.sha256(path)
    except OSError as error:
        raise ImageRejectedError(path.name, f"cannot be read ({error.strerror})") from error
    before = known.get(sha256)
    width, height = (before.width, before.height) if before else open_image(path).size
    if min(width, height) < MIN_SIDE:
        raise ImageRejectedError(
            path.name,
            f"is only {width} x {height} px; its shorter side must have {MIN_SIDE}",
            "small",
        )
    return ClassImage(
        file=path,
        sha256=sha256,
        width=width,
        height=height,
        prompt=str(told.get("prompt") or f"a photo of {with_article(noun)}"),
        source=str(told.get("source") or path.resolve()),
        author=str(told.get("author") or "unknown"),
        licence=str(told.get("licence") or "unknown"),
        title=str(told.get("title") or ""),
        licence_url=str(told.get("licence_url") or ""),
    )


def _nothing(folder: Path, refused: Mapping[str, str]) -> str:
    if not refused:
        within = (path for path in sorted(folder.iterdir()) if path.is_dir())
        if inner := next((path for path in within if next(picture_files(path), None)), None):
            return f"{folder} itself holds no images, but {inner.name} in it does: name that."
        return f"{folder} holds no images (JPEG, PNG, WebP, HEIC or AVIF)."
    lines = [f"  {name}: {reason}" for name, reason in list(refused.items())[:20]]
    more = [f"  and {len(refused) - 20} more"] if len(refused) > 20 else []
    return "\n".join([f"No image in {folder} can be used:", *lines, *more])
