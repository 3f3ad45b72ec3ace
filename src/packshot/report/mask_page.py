"""The page for reviewing masks: each cut-out on white and on black, the most doubtful first."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from packshot.errors import ImageRejectedError
from packshot.images.loading import open_image
from packshot.images.masks import read_mask
from packshot.photos.photo_set import Photo, is_doubtful, list_photos
from packshot.project import Project
from packshot.report.page import rendered, thumbnail
from packshot.utils import files

PIXELS = 320
_ROOM = 0.06
"""Around the product, of its size."""


def write_mask_page(project: Project) -> Path:
    """Write `masks.html`: what each mask cuts out, how doubtful it is, and what to do about it.

    Photos without a mask come first, then those in doubt. The page works offline.

    Raises:
        ProjectError: the manifest of the photos is damaged.
    """
    photos = sorted(list_photos(project), key=_urgency)
    facts = {
        "subject": project.subject,
        "photos": [_facts(project.root, project.masks_folder, photo) for photo in photos],
        "doubtful": sum(is_doubtful(photo) for photo in photos),
        "missing": sum(photo.mask is None for photo in photos),
    }
    files.write_text(project.masks_page, rendered("mask_page.html.jinja", facts))
    return project.masks_page


def _urgency(photo: Photo) -> tuple[bool, float, str]:
    return photo.mask is not None, -(photo.mask_doubt or 0.0), photo.file.name


def _facts(root: Path, masks: Path, photo: Photo) -> dict[str, Any]:
    place = (masks / f"{photo.file.stem}.png").relative_to(root).as_posix()
    facts: dict[str, Any] = {
        "picture": thumbnail(root, photo.file, photo.file.name),
        "cuts": [],
        "by": photo.masked_by or ("you" if photo.mask else None),
        "doubt": photo.mask_doubt,
        "doubtful": is_doubtful(photo),
        "mask": place,
        "fault": "",
    }
    if photo.mask:
        try:
            facts["cuts"] = _cuts(photo, photo.mask)
        except ImageRejectedError as error:
            facts["fault"] = str(error)
    return facts


def _cuts(photo: Photo, mask: Path) -> list[str]:
    """The product on white and on black, as data URIs, cropped to where the mask is."""
    image = open_image(photo.file)
    alpha = read_mask(mask, image.size)
    box = alpha.point(lambda value: 255 * (value > 127)).getbbox() or (0, 0, *image.size)
    room = int(_ROOM * max(box[2] - box[0], box[3] - box[1]))
    left, top, right, bottom = box
    part = (
        max(0, left - room), max(0, top - room),
        min(image.width, right + room), min(image.height, bottom + room),
    )  # fmt: skip
    small, cut = image.crop(part), alpha.crop(part)
    for each in (small, cut):
        each.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    return [
        _data_uri(Image.composite(small, Image.new("RGB", small.size, ground), cut))
        for ground in ("white", "black")
    ]


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
