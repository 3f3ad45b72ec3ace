"""Opening a picture that somebody gave us, whatever it turns out to be."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packshot.errors import PictureRefused

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
MAX_PIXELS = 64e6
_GPS, _ORIENTATION = 0x8825, 0x0112
_EXIF_LIMIT = 65_000
"""A JPEG's EXIF block holds 65,533 bytes at most."""

_OURS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WebP"}
_OTHERS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF or raw file",
    b"MM\0*": "a TIFF or raw file",
    b"8BPS": "a Photoshop file",
    b"%PDF": "a PDF",
    b"<svg": "an SVG drawing",
    b"<?xm": "an XML or SVG file",
    b"\xff\x0a": "a JPEG XL",
    b"PK\x03\x04": "a ZIP archive",
}
_DAMAGED = "is damaged or cut short; copy it again from the camera or the cloud"


@dataclass(frozen=True)
class Picture:
    """A decoded picture, RGB and upright, and what else its file says."""

    image: Image.Image
    alpha: Image.Image | None
    """Its transparency, "L", where it has any."""
    exif: bytes
    """Without GPS and orientation."""
    format: str


def open_image(path: Path, max_pixels: float = MAX_PIXELS) -> Image.Image:
    """Open a picture: RGB, 8 bits, upright, in sRGB, transparency over white, first frame only.

    Only JPEG, PNG, WebP and HEIC are tried, and the header is judged before anything is decoded.

    Raises:
        PictureRefused: not such a picture, damaged, cut short, or of more than `max_pixels`.
    """
    return read_picture(path, max_pixels).image


def read_picture(path: Path, max_pixels: float = MAX_PIXELS, *, over_white: bool = True) -> Picture:
    """As `open_image`, with what else is to be known of the file.

    Args:
        over_white: show transparent parts white; else as they are painted beneath, for where
            transparency is a mask.
    """
    with opened_picture(path, max_pixels) as opened:
        upright, alpha = _upright_rgb(opened, over_white)
        return Picture(upright, alpha, _exif(opened), str(opened.format))


@contextmanager
def opened_picture(path: Path, max_pixels: float = MAX_PIXELS) -> Iterator[Image.Image]:
    """A picture as Pillow opens it, judged by its header; not yet decoded.

    Raises:
        PictureRefused: as `open_image`, also for what the block raises while it decodes.
    """
    from PIL import Image

    _know_heic()
    try:
        with warnings.catch_warnings():
            # Our own limit, below, is lower than the size that Pillow warns of.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as opened:
                _refuse_bomb(path, opened.size, max_pixels)
                yield opened
    except PictureRefused:
        raise
    except Image.DecompressionBombError:
        raise PictureRefused(path.name, "has far too many pixels; make it smaller first") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on malformed files
        raise PictureRefused(path.name, _why_not(path, error)) from error


def encoded(picture: Picture, suffix: str) -> bytes:
    """A picture as the bytes of a file, `suffix` .jpg or .png, with its EXIF."""
    buffer = io.BytesIO()
    if suffix == ".jpg":
        # No chroma subsampling: red lettering on a product would lose its edges.
        picture.image.save(buffer, "JPEG", quality=95, subsampling=0, exif=picture.exif)
    else:
        picture.image.save(buffer, "PNG", exif=picture.exif)
    return buffer.getvalue()


def header_size(path: Path) -> tuple[int, int] | None:
    """Width and height as the header gives them, before turning upright; None if it cannot be read."""
    from PIL import Image

    _know_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except Exception:  # as above
        return None


@functools.cache
def _know_heic() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


def _refuse_bomb(path: Path, size: tuple[int, int], max_pixels: float) -> None:
    if size[0] * size[1] > max_pixels:
        raise PictureRefused(
            path.name,
            f"is {size[0]} x {size[1]} px ({size[0] * size[1] / 1e6:.0f} megapixels), more than "
            f"{max_pixels / 1e6:.0f}; make it smaller first",
        )


def _exif(image: Image.Image) -> bytes:
    """EXIF without GPS and orientation; none if it is malformed or too long to write."""
    try:
        exif = image.getexif()
        for tag in (_GPS, _ORIENTATION):
            exif.pop(tag, None)
        data = exif.tobytes() if len(exif) else b""
    except Exception:  # a picture is not refused for its EXIF
        return b""
    return data if len(data) < _EXIF_LIMIT else b""


def _upright_rgb(image: Image.Image, over_white: bool) -> tuple[Image.Image, Image.Image | None]:
    from PIL import Image, ImageOps

    image.load()
    profile = image.info.get("icc_profile")
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # malformed EXIF again: as it lies, then
        image = image.copy()
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    alpha = None
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        alpha = layer.getchannel("A")
        white = Image.new("RGBA", layer.size, "white")
        image = (Image.alpha_composite(white, layer) if over_white else layer).convert("RGB")
    image = _to_srgb(image, profile) if profile else image
    image = image.convert("RGB")
    image.info.clear()
    return image, alpha


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey to 8: Pillow's own conversion would clip at 255."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float32) / 257
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours as they are meant: phones write Display P3, and a product's colours matter."""
    from PIL import ImageCms

    try:
        meant: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(meant).lower():
            return image
        srgb: Any = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, meant, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a profile that does not fit the picture


def _why_not(path: Path, error: Exception) -> str:
    """The reason a file could not be opened, from its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as cause:
        return f"cannot be read ({cause.strerror}); check that it is there and that you may read it"
    if isinstance(error, MemoryError):
        return "needs more memory than there is; make it smaller first"
    if not head:
        return "is empty (0 bytes); copy it again from the camera or the cloud"
    if any(head.startswith(magic) for magic in _OURS) or _brand(head) in ("heic", "heix", "mif1"):
        return _DAMAGED
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return f"is {name}; save it as JPEG, PNG, WebP or HEIC"
    if _brand(head).startswith("avif"):
        return "is an AVIF; save it as JPEG, PNG, WebP or HEIC"
    return "is not a picture that Packshot reads; save it as JPEG, PNG, WebP or HEIC"


def _brand(head: bytes) -> str:
    """The major brand of an ISO media file ("heic", "avif"), else nothing."""
    return head[8:12].decode("latin-1") if head[4:8] == b"ftyp" else ""
