"""Exporting images for programs that ignore EXIF rotation, colour profiles and transparency."""

from __future__ import annotations

from pathlib import Path

from packshot.images import colour
from packshot.images.loading import encoded, opened_picture, read_picture, tells_of_its_owner
from packshot.images.masks import read_mask
from packshot.utils import files

_ORIENTATION = 0x0112
_ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def write_upright(picture: Path, target: Path, mask: Path | None = None) -> Path:
    """Write an image to `target` (plus an ending), so that any program shows it as Packshot does.

    Files that are so already are copied unchanged. A mask becomes the image's transparency.

    Raises:
        ImageRejectedError: not an image, or the mask does not fit it.
    """
    if mask is None and (ending := _plain_ending(picture)):
        written = target.with_name(target.name + ending)
        files.write_bytes(written, picture.read_bytes())
        return written
    read = read_picture(picture)
    ending = read.suffix if mask is None else ".png"
    if mask is not None:
        read.image.putalpha(read_mask(mask, read.image.size))
    written = target.with_name(target.name + ending)
    files.write_bytes(written, encoded(read, ending))
    return written


def _plain_ending(picture: Path) -> str | None:
    """The ending of a file that can be copied unchanged: upright, opaque, sRGB, telling of no owner."""
    try:
        with opened_picture(picture) as image:
            is_srgb = colour.stated_profile(image, picture.name) is None
            exif = image.getexif()
            as_it_is = (
                image.mode in ("RGB", "L")
                and not image.has_transparency_data
                and not image.info.get("icc_profile")
                and is_srgb
                and exif.get(_ORIENTATION, 1) == 1
                and not tells_of_its_owner(image)
            )
            return _ENDINGS.get(str(image.format)) if as_it_is else None
    except Exception:  # Pillow raises nearly anything; reading it in earnest says what is wrong
        return None
