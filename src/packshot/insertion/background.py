"""Backgrounds: photos that keep their values, size, bit depth and profile outside the changed area."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from packshot.errors import ImageRejectedError
from packshot.images import colour
from packshot.images.encoding import XMP_TEXT
from packshot.images.loading import exif_of, opened_picture, orientation_of, upright, xmp_of
from packshot.images.metadata import Texts, iim_of, iim_text, png_text, texts_of
from packshot.utils import overwriting

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[Any]
"""Values of a file, uint8 or uint16 [height, width, channels]."""
Colours = npt.NDArray[np.floating[Any]]
"""sRGB [height, width, 3], or one channel [height, width], in [0, 1]."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, by which Pillow makes colours grey."""
_ROWS = 256
"""So many rows of a background are blended at once."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a background, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def region(self) -> tuple[slice, slice]:
        """The box as an index of arrays [height, width, ...]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Background:
    """An upright photo with the values of its file: grey, RGB or RGBA, 8 or 16 bits."""

    name: str
    pixels: Pixels
    profile: bytes | None
    """ICC, of grey for grey pixels; None means sRGB."""
    source: Path | None = None
    """The file that it was read from, which is never written to."""
    exif: bytes = field(default=b"", repr=False)
    """Of the upright photo, without what tells where it was taken and by which camera."""
    xmp: bytes = field(default=b"", repr=False)
    """The packet as it stands in the file: not to be trusted, see `packshot.provenance.xmp`."""
    texts: Texts = field(default=(), repr=False)
    """Of a PNG, by their keywords; a JPEG's comment."""
    iim: bytes = field(default=b"", repr=False)
    """IPTC's older records."""

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def all(self) -> Box:
        """The box of the whole background."""
        return Box(0, 0, self.width, self.height)

    @property
    def _is_fine(self) -> bool:
        """Whether it has 16 bits that need no conversion of colours, which would leave 8 of them."""
        is_srgb = self.profile is None or colour.is_srgb(self.profile)
        return self.pixels.dtype == np.uint16 and is_srgb

    def colours(self, box: Box) -> Colours:
        """The colours of a part, in sRGB."""
        values = self._colour_channels(self.pixels[box.region])
        if self._is_fine:
            fine = values.astype(np.float32) / 65535
            return fine if fine.shape[2] == 3 else np.repeat(fine, 3, axis=2)
        eight = _eight_bits(values) if values.dtype == np.uint16 else values
        seen = colour.to_srgb(_image(np.ascontiguousarray(eight)), self.profile)
        return np.asarray(seen).astype(np.float32) / 255

    def whole(self, longest: int) -> tuple[Colours, float]:
        """The whole background with its longer side at most `longest`, and the scale, at most 1."""
        scale = min(1.0, longest / max(self.width, self.height))
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        small = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        thumb = replace(self, pixels=small.reshape(size[1], size[0], -1))
        return thumb.colours(Box(0, 0, *size)), scale

    def with_colours(
        self, box: Box, colours: Colours, weights: Colours, opacity: Colours | None = None
    ) -> Background:
        """This background with `colours` blended over `box` by `weights` [h, w] in [0, 1].

        Where a weight is 0 every value is bit-identical.

        Args:
            opacity: how much of the ground is hidden by what `colours` show on it, [h, w] in
                [0, 1]: where the background is transparent it is raised to that, and the colours
                become those of what lies over it (Porter and Duff 1984). None: as `weights`.
        """
        pixels = self.pixels.copy()
        part = pixels[box.region]
        opacity = weights if opacity is None else opacity
        for first in range(0, len(part), _ROWS):  # at once it would be 2 GB of floats
            rows = slice(first, first + _ROWS)
            self._blend(part[rows], colours[rows], weights[rows], opacity[rows])
        return replace(self, pixels=pixels)

    def _blend(self, part: Pixels, colours: Colours, weights: Colours, opacity: Colours) -> None:
        own = self._colour_channels(part).astype(np.float32)
        new = self._values_of(colours.clip(0, 1), own.shape)
        most = np.iinfo(part.dtype).max
        mixed = own + weights[..., None] * (new * (most / 255) - own)
        if part.shape[2] == 4:
            hides = np.minimum(weights, opacity)
            mixed = _over(part.astype(np.float32), mixed, hides[..., None], most)
        rounded = mixed.round().clip(0, most).astype(part.dtype)
        np.copyto(part, rounded, where=(weights > 0)[..., None])

    def _values_of(self, colours: Colours, shape: tuple[int, ...]) -> Colours:
        """Colours as values of this background in this shape, from 0 to 255."""
        if self._is_fine:
            fine = colours if shape[2] == 3 else colours @ _LUMA[:, None]
            return np.asarray(255 * fine, np.float32)
        eight = _image((colours * 255).round().astype(np.uint8))
        eight = eight if shape[2] == 3 or self.profile else eight.convert("L")
        return np.array(colour.from_srgb(eight, self.profile), np.float32).reshape(shape)

    def write(self, path: Path, **notes: str) -> None:
        """Write a PNG; see `as_png`."""
        overwriting.write_result(path, self.as_png(None, **notes))

    def as_png(self, xmp: bytes | None = None, **notes: str) -> bytes:
        """A PNG with exactly these values, its metadata, an XMP packet, and `notes` as text chunks.

        Texts of the photo stand, also where a note has the same keyword.
        """
        data = _encoded(self.pixels)
        texts = notes | dict(self.texts)
        if self.iim:
            texts |= dict([iim_text(self.iim)])
        chunks = [_chunk(*png_text(key, text)) for key, text in texts.items()]
        if self.profile:
            chunks.insert(0, _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(self.profile)))
        if self.exif:
            chunks.append(_chunk(b"eXIf", _exif_of_png(self.exif)))
        if xmp:
            chunks.append(_chunk(b"iTXt", XMP_TEXT.encode() + bytes(5) + xmp))
        header = len(_PNG) + 25  # the signature, and IHDR
        return data[:header] + b"".join(chunks) + data[header:]

    @staticmethod
    def _colour_channels(values: Pixels) -> Pixels:
        return values[..., :3]


def load_background(path: Path) -> Background:
    """Read a photo as a background: turned upright; CMYK becomes sRGB, palettes become RGB.

    Raises:
        ImageRejectedError: not an image, damaged, too large, or animated.
    """
    with opened_picture(path) as image:
        # Of pictures beside each other in one file, as phones write them, the first is the photo.
        if getattr(image, "n_frames", 1) > 1 and image.format not in ("MPO", "HEIF"):
            raise ImageRejectedError(path.name, "moves; save one frame of it as a PNG")
        profile = colour.stated_profile(image, path.name)
        is_grey = image.mode in colour.GREY
        if image.format == "PNG" and _is_deep(path):
            pixels = _deep_pixels(path, orientation_of(image))
        else:
            pixels, profile = _plain_pixels(image, profile)
        xmp, texts, iim = xmp_of(image), texts_of(image), iim_of(image)
        exif = exif_of(image, is_srgb=profile is None)  # last: it empties the image's own
    if is_grey and pixels.shape[2] > 1:
        profile = colour.as_rgb_profile(profile)
    elif profile and pixels.shape[2] == 1 and not colour.is_of_grey(profile):
        pixels = np.repeat(pixels, 3, axis=2)  # a PNG's profile is of the colours that it has
    return Background(path.name, pixels, profile, path, exif, xmp, texts, iim)


def _plain_pixels(image: Image.Image, profile: bytes | None) -> tuple[Pixels, bytes | None]:
    shown = upright(image)
    if shown.mode == "CMYK":
        return np.array(colour.to_srgb(shown, profile)), None
    if shown.has_transparency_data:
        shown = shown.convert("RGBA")
    elif shown.mode not in ("L", "RGB"):
        shown = shown.convert("L" if shown.mode in colour.GREY else "RGB")
    pixels = np.array(shown)
    return pixels.reshape(*pixels.shape[:2], -1), profile


def _is_deep(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(25)[24] == 16


def _deep_pixels(path: Path, orientation: int) -> Pixels:
    """Reads 16 bits per channel, which Pillow would cut to 8, and turns them upright by EXIF."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    values: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise ImageRejectedError(path.name, "is damaged or cut short; copy it again")
    pixels = _reordered(values.reshape(*values.shape[:2], -1))
    if pixels.shape[2] == 2:
        pixels = pixels[..., [0, 0, 0, 1]]
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _reordered(pixels: Pixels) -> Pixels:
    """Converts OpenCV's channel order to ours, or back."""
    order = {1: [0], 2: [0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
    return np.ascontiguousarray(pixels[..., order])


def _encoded(pixels: Pixels) -> bytes:
    if pixels.dtype == np.uint16:
        return cv2.imencode(".png", _reordered(pixels))[1].tobytes()
    from PIL import Image

    buffer = io.BytesIO()
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    Image.fromarray(flat, _MODES[pixels.shape[2]]).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG (ISO/IEC 15948, 5.3)."""
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _exif_of_png(exif: bytes) -> bytes:
    """EXIF with its first directory after the usual places of the first boxes in C2PA's chunk.

    ExifTool (13.59) counts places in both chunks from nought, takes directories for boxes that it has
    read before, and passes them over with a warning.
    """
    from PIL import Image

    read = Image.Exif()
    read.load(exif)
    place = 138
    data = read.tobytes(place).removeprefix(b"Exif\0\0")
    order = "<" if data.startswith(b"II") else ">"
    return data[:4] + struct.pack(f"{order}L", place) + bytes(place - 8) + data[8:]


def _eight_bits(sixteen: Pixels) -> Pixels:
    return np.asarray((sixteen.astype(np.uint32) + 128) // 257, np.uint8)


def _image(eight: Pixels) -> Image.Image:
    """Values uint8 [h, w, 1 or 3] as an image, "L" or "RGB"."""
    from PIL import Image

    return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight)


def _over(own: Colours, mixed: Colours, hides: Colours, most: int) -> Colours:
    """RGBA of what lies over a background that is transparent in places.

    Args:
        own: the background, [h, w, 4] from 0 to `most`.
        mixed: its colours with what lies over them, as if it were opaque: [h, w, 3].
        hides: the opacity of what lies over it, [h, w, 1] in [0, 1].
    """
    shows = own[..., 3:] / most
    opacity = hides + shows * (1 - hides)
    seen = mixed - own[..., :3] * (1 - hides) * (1 - shows)
    is_thin = (shows < 1) & (opacity > 0)
    colours = np.where(is_thin, seen / np.maximum(opacity, 1e-6), mixed)
    return np.concatenate([colours, opacity * most], axis=2)
