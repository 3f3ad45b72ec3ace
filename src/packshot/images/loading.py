"""Opening users' image files safely."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.errors import ImageRejectedError, Refusal
from packshot.images import colour
from packshot.images.encoding import XMP_TEXT
from packshot.images.exif_camera import ELEVATION_ANGLE, EXIF_FOLDER, elevation_angle

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF")
MAX_PIXELS = 64e6
MAX_BYTES = 400e6
"""Of a file. 64 megapixels of 16-bit RGB take 384 MB; some decoders read the whole file at once."""
_ORIENTATION = 0x0112
_INTEROPERABILITY, _COLOUR_SPACE = 0xA005, 0xA001
_TELLING = frozenset(
    (
        0x8825,  # GPS
        0x927C,  # the maker's note: serial numbers and thumbnails; its offsets would be wrong, too
        0xA430, 0xA431, 0xA435,  # the camera's owner, serial numbers of camera and lens
        0xA420,  # ImageUniqueID: some cameras count in it
        0xC62F, 0xC634, 0xC65D, 0xC68B,  # DNG: serial number, private data, raw ID, raw file's name
        0xFDE8, 0xFDE9,  # Adobe: owner and serial number
        0x02BC, 0x83BB, 0x8649,  # XMP, IPTC and Photoshop's resources, which may repeat all of that
    )
)  # fmt: skip
"""EXIF tags that tell where a photo was taken, by whose camera, or which one."""
_MORE = ("xmp", XMP_TEXT, "photoshop", "Raw profile type xmp", "Raw profile type iptc")
"""What Pillow calls the other places for the same."""
_JPEG_LONGEST = 65_500
_MOST_SCANS = 100
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
"""What begins a JPEG's segment; of the others none has a length."""
_SCAN, _END_OF_PICTURE = b"\xda", b"\xd9"
_HEAD = 64
_EXIF_LIMIT = 65_000
"""A JPEG's EXIF block holds 65,533 bytes at most."""

_OURS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WebP"}
_OUR_BRANDS = {"heic", "heix", "mif1", "avif", "avis"}
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
DAMAGED = "is damaged or cut short; copy it again from the camera or the cloud"


@dataclass(frozen=True)
class Picture:
    """A decoded image, RGB and upright, with its transparency and metadata."""

    image: Image.Image
    alpha: Image.Image | None
    """Its transparency, "L", where it has any."""
    exif: bytes
    """Without orientation, and without what tells place, owner or serial numbers."""
    format: str

    @property
    def suffix(self) -> str:
        """The ending to save it with: .png for lossless originals, else .jpg."""
        lossless = self.format in ("PNG", "WEBP") or max(self.image.size) > _JPEG_LONGEST
        return ".png" if lossless else ".jpg"


def open_image(path: Path, max_pixels: float = MAX_PIXELS) -> Image.Image:
    """Open an image: RGB, 8 bits, upright, in sRGB, transparency over white, first frame only.

    Only JPEG, PNG, WebP, HEIC and AVIF are tried, and the header is validated before decoding.

    Raises:
        ImageRejectedError: another format, damaged, cut short, or of more than `max_pixels`.
    """
    return read_picture(path, max_pixels).image


def read_picture(
    path: Path,
    max_pixels: float = MAX_PIXELS,
    *,
    over_white: bool = True,
    data: bytes | None = None,
) -> Picture:
    """As `open_image`, with transparency and metadata.

    Args:
        data: the file's bytes, if they are in memory; `path` is then only their name.
        over_white: blend transparent parts with white; if False they keep their colours, for files
            whose transparency is a mask.
    """
    with opened_picture(path, max_pixels, data) as opened:
        profile = colour.stated_profile(opened, path.name)
        rgb, alpha = _upright_rgb(opened, profile, over_white)
        return Picture(rgb, alpha, exif_of(opened), str(opened.format))


@contextmanager
def opened_picture(
    path: Path, max_pixels: float = MAX_PIXELS, data: bytes | None = None
) -> Iterator[Image.Image]:
    """An image opened by Pillow, its header validated; not yet decoded.

    Args:
        data: as in `read_picture`.

    Raises:
        ImageRejectedError: as `open_image`, also for decoding errors in the block.
    """
    from PIL import Image

    if data is None:
        refuse_unfit(path)
    _know_heic()
    try:
        with warnings.catch_warnings():
            # Our own limit, below, is lower than the size that Pillow warns of.
            warnings.simplefilter("ignore")
            with Image.open(path if data is None else io.BytesIO(data), formats=FORMATS) as opened:
                _refuse_bomb(path, opened.size, max_pixels)
                _refuse_scans(path, opened)
                yield opened
    except ImageRejectedError:
        raise
    except Image.DecompressionBombError:
        raise ImageRejectedError(
            path.name, "has far too many pixels; make it smaller first", "large"
        ) from None
    except Exception as error:  # Pillow's decoders raise nearly anything on malformed files
        raise ImageRejectedError(path.name, _why_not(path, data, error)) from error


def encoded(picture: Picture, suffix: str) -> bytes:
    """An image as the bytes of a file, `suffix` .jpg or .png, with its EXIF."""
    buffer = io.BytesIO()
    if suffix == ".jpg":
        # No chroma subsampling: red lettering on a product would lose its edges.
        picture.image.save(buffer, "JPEG", quality=95, subsampling=0, exif=picture.exif)
    else:
        picture.image.save(buffer, "PNG", exif=picture.exif)
    return buffer.getvalue()


def header_size(path: Path) -> tuple[int, int] | None:
    """Width and height in the header, before turning upright; None if it cannot be read."""
    from PIL import Image

    _know_heic()
    try:
        refuse_unfit(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except Exception:  # as above
        return None


def refuse_unfit(path: Path, max_bytes: float = MAX_BYTES) -> None:
    """Refuse what must not be opened: pipes would never end, huge files fill the memory.

    Raises:
        ImageRejectedError: not a file, one that cannot be reached, or of more than `max_bytes`.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise ImageRejectedError(path.name, unreadable(error)) from error
    if stat.S_ISDIR(facts.st_mode):
        raise ImageRejectedError(path.name, "is a folder, not a picture; name what is in it")
    if not stat.S_ISREG(facts.st_mode):
        raise ImageRejectedError(path.name, "is a pipe, socket or device, not a file")
    if facts.st_size > max_bytes:
        raise ImageRejectedError(
            path.name,
            f"has {facts.st_size / 1e6:.0f} MB, more than {max_bytes / 1e6:.0f}; make it smaller first",
            "large",
        )


def _refuse_scans(path: Path, opened: Image.Image) -> None:
    """Refuse a JPEG that goes over its picture more often than any camera or program has it.

    Each scan takes the time of a whole picture, and little room: a minute for half a megabyte.
    """
    from PIL import ImageFile

    file = opened.fp if isinstance(opened, ImageFile.ImageFile) else None
    if opened.format not in ("JPEG", "MPO") or file is None:
        return
    place = file.tell()
    file.seek(0)
    scans = _count_scans(file.read())
    file.seek(place)
    if scans > _MOST_SCANS:
        raise ImageRejectedError(
            path.name, f"is a JPEG of {scans:,} scans, where a dozen are usual; save it anew"
        )


def _count_scans(data: bytes) -> int:
    """The scans of a JPEG's first picture (ITU-T T.81, B.1): phones write films and more behind it."""
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) and found[1] != _END_OF_PICTURE:
        scans += found[1] == _SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return scans


@functools.cache
def _know_heic() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


def _refuse_bomb(path: Path, size: tuple[int, int], max_pixels: float) -> None:
    if size[0] * size[1] > max_pixels:
        raise ImageRejectedError(
            path.name,
            f"is {size[0]} x {size[1]} px ({size[0] * size[1] / 1e6:.0f} megapixels), more than "
            f"{max_pixels / 1e6:.0f}; make it smaller first",
            "large",
        )


def tells_of_its_owner(image: Image.Image) -> bool:
    """Whether a file's metadata may tell where it was taken, by whose camera, or which one."""
    exif = image.getexif()
    tags = {*exif, *exif.get_ifd(EXIF_FOLDER)}
    return bool(_TELLING & tags) or any(name in image.info for name in _MORE)


def exif_of(image: Image.Image, *, is_srgb: bool = True) -> bytes:
    """EXIF without `_TELLING` and orientation; empty if it is malformed or too long to write.

    How the camera looked down is kept in EXIF's own tag, where only the maker's note held it.

    Args:
        is_srgb: whether it is to be that of a picture in sRGB; else its colour space stands.
    """
    from PIL.TiffImagePlugin import IFDRational

    try:
        exif = image.getexif()
        angle = elevation_angle(image)
        inside = exif.get_ifd(EXIF_FOLDER)
        for tag in (*_TELLING, _ORIENTATION):
            exif.pop(tag, None)
            inside.pop(tag, None)
        inside.pop(_INTEROPERABILITY, None)
        if is_srgb and _COLOUR_SPACE in inside:
            inside[_COLOUR_SPACE] = 1
        if angle is not None:
            inside[ELEVATION_ANGLE] = IFDRational(round(angle * 100), 100)
        data = exif.tobytes() if len(exif) else b""
    except Exception:  # a picture is not refused for its EXIF
        return b""
    return data if len(data) < _EXIF_LIMIT else b""


def xmp_of(image: Image.Image) -> bytes:
    """The XMP packet of a decoded image as it stands in its file, whatever it may hold; or nothing."""
    found = image.info.get("xmp") or image.info.get(XMP_TEXT) or b""
    return found.encode("utf-8", "replace") if isinstance(found, str) else bytes(found)


def upright(opened: Image.Image) -> Image.Image:
    """An opened image, decoded and turned upright in place; 16 bits of grey become 8."""
    from PIL import ImageOps

    opened.load()
    # Malformed EXIF again: as it lies, then.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(opened, in_place=True)
    return _eight_bits(opened) if opened.mode.startswith("I") else opened


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 if there is none, or it is malformed."""
    with contextlib.suppress(Exception):
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _upright_rgb(
    opened: Image.Image, profile: bytes | None, over_white: bool
) -> tuple[Image.Image, Image.Image | None]:
    """The image and its transparency. With few copies: one of 64 megapixels takes 256 MB."""
    from PIL import Image

    image = upright(opened)
    alpha = None
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        alpha = layer.getchannel("A")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=alpha if over_white else None)
    image = colour.to_srgb(image.copy() if image is opened else image, profile)
    image.info.clear()
    return image, alpha


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey to 8: Pillow's own conversion would clip at 255."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float32) / 257
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def _why_not(path: Path, data: bytes | None, error: Exception) -> str | Refusal:
    """The reason why a file could not be opened, from its first bytes."""
    try:
        head = _head(path) if data is None else data[:_HEAD]
    except OSError as cause:
        return unreadable(cause)
    if isinstance(error, MemoryError):
        return Refusal("needs more memory than there is; make it smaller first", "large")
    if not head:
        return Refusal("is empty (0 bytes); copy it again from the camera or the cloud", "damaged")
    if any(head.startswith(magic) for magic in _OURS) or _brands(head) & _OUR_BRANDS:
        return Refusal(DAMAGED, "damaged")
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return f"is {name}; save it as JPEG, PNG, WebP or HEIC"
    return "is not an image that Packshot reads; save it as JPEG, PNG, WebP or HEIC"


def unreadable(error: OSError) -> str:
    """The reason why the system does not let us read a file."""
    return f"cannot be read ({error.strerror}); check that it is there and that you may read it"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _brands(head: bytes) -> set[str]:
    """The brands of an ISO media file ("heic", "avif"), the major one and those it is compatible with."""
    if head[4:8] != b"ftyp":
        return set()
    listed = head[8 : min(len(head), int.from_bytes(head[:4], "big"))].decode("latin-1")
    return {listed[at : at + 4] for at in range(0, len(listed), 4)}
