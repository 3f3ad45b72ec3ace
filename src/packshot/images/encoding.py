"""Generated pictures as files of a chosen format, with AUTOMATIC1111's parameters and an XMP packet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from packshot.errors import PackshotError
from packshot.images.exif_camera import EXIF_FOLDER
from packshot.utils import serialization

if TYPE_CHECKING:
    from PIL import Image

Format = Literal["png", "jpeg", "webp"]
ENDINGS: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
MIMES: dict[Format, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
XMP_TEXT = "XML:com.adobe.xmp"
_USER_COMMENT = 0x9286
JPEG_EXIF = 65_533
"""Bytes that a JPEG's EXIF has at most."""


def is_picture(file: Path) -> bool:
    """Whether a file's name ends as those of pictures in these formats do."""
    return file.suffix in ENDINGS.values()


def encoded(
    picture: Image.Image,
    kind: Format,
    *,
    quality: int = 95,
    parameters: str = "",
    xmp: bytes | None = None,
) -> bytes:
    """A picture as a file.

    Args:
        quality: of JPEG and WebP, 1 to 100. JPEG keeps colours in full, so that red lettering stays sharp.
        parameters: how it was made: a text chunk of that name in PNG, in JPEG and WebP EXIF's
            UserComment, where AUTOMATIC1111 and its readers have it.

    Raises:
        PackshotError: the parameters are too long for a JPEG.
    """
    if kind == "png":
        return serialization.image_bytes(".png", picture, pnginfo=_texts(parameters, xmp))
    options: dict[str, Any] = {"quality": quality}
    if kind == "jpeg":
        options |= {"subsampling": 0, "optimize": True}
    if parameters:
        options["exif"] = commented(parameters)
        if kind == "jpeg" and len(options["exif"]) > JPEG_EXIF:
            raise PackshotError(
                f"A JPEG holds no prompt of {len(parameters):,} letters: take the format png or webp."
            )
    if xmp:
        options["xmp"] = xmp
    return serialization.image_bytes(ENDINGS[kind], picture, **options)


def commented(comment: str, exif: bytes = b"") -> bytes:
    """EXIF with a UserComment: in UTF-16, big-endian as AUTOMATIC1111's readers take it to be."""
    from PIL import Image

    whole = Image.Exif()
    whole.endian = ">"
    if exif:
        whole.load(exif)
    text = comment.encode("utf-16-be", "replace")
    whole.get_ifd(EXIF_FOLDER)[_USER_COMMENT] = b"UNICODE\0" + text
    return whole.tobytes()


def _texts(parameters: str, xmp: bytes | None) -> Any:
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    if parameters:
        chunks.add_text("parameters", parameters)
    if xmp:
        chunks.add_itxt(XMP_TEXT, xmp.decode())
    return chunks
