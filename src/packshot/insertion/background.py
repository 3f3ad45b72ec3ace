"""Backgrounds: photos that keep their values, size, bit depth and profile outside the changed area."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from packshot.errors import ImageRejectedError
from packshot.images.loading import opened_picture
from packshot.utils import files

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[Any]
"""Values of a file, uint8 or uint16 [height, width, channels]."""
Colours = npt.NDArray[np.floating[Any]]
"""sRGB [height, width, 3], or one channel [height, width], in [0, 1]."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


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
    """ICC; None means sRGB."""
    source: Path | None = None
    """The file that it was read from, which is never written to."""

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

    def colours(self, box: Box) -> Colours:
        """The colours of a part, in sRGB."""
        values = self._colour_channels(self.pixels[box.region])
        eight = (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values
        return _through(eight, self.profile, None).astype(np.float32) / 255

    def whole(self, longest: int) -> tuple[Colours, float]:
        """The whole background with its longer side at most `longest`, and the scale, at most 1."""
        scale = min(1.0, longest / max(self.width, self.height))
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        small = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        thumb = replace(self, pixels=small.reshape(size[1], size[0], -1))
        return thumb.colours(Box(0, 0, *size)), scale

    def with_colours(self, box: Box, colours: Colours, weights: Colours) -> Background:
        """This background with `colours` blended over `box` by `weights` [h, w] in [0, 1].

        Where a weight is 0 every value is bit-identical; transparency is never changed.
        """
        pixels = self.pixels.copy()
        part = pixels[box.region]
        own = self._colour_channels(part).astype(np.float32)
        eight = (colours.clip(0, 1) * 255).round().astype(np.uint8)
        new = _through(eight, None, self.profile).astype(np.float32)
        new = new * 257 if pixels.dtype == np.uint16 else new
        mixed = own + weights[..., None] * (new - own)
        count = 1 if pixels.shape[2] < 3 else 3
        values = mixed.mean(axis=2, keepdims=True) if count == 1 else mixed
        changed = (weights > 0)[..., None]
        rounded = values.round().clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
        part[..., :count] = np.where(changed, rounded, part[..., :count])
        return replace(self, pixels=pixels)

    def write(self, path: Path, **notes: str) -> None:
        """Write a PNG with exactly these values, and `notes` as its text chunks."""
        data = _encoded(self.pixels)
        chunks = [
            _chunk(b"tEXt", f"{key}\0{text}".encode("latin-1", "replace"))
            for key, text in notes.items()
        ]
        if self.profile:
            chunks.insert(0, _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(self.profile)))
        header = len(_PNG) + 25  # the signature, and IHDR
        files.write_bytes(path, data[:header] + b"".join(chunks) + data[header:])

    @staticmethod
    def _colour_channels(values: Pixels) -> Pixels:
        return np.repeat(values[..., :1], 3, axis=2) if values.shape[2] < 3 else values[..., :3]


def load_background(path: Path) -> Background:
    """Read a photo as a background: turned upright; CMYK becomes sRGB, palettes become RGB.

    Raises:
        ImageRejectedError: not an image, damaged, too large, or animated.
    """
    with opened_picture(path) as image:
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise ImageRejectedError(path.name, "moves; save one frame of it as a PNG")
        profile = image.info.get("icc_profile") or None
        if image.format == "PNG" and _is_deep(path):
            pixels = _deep_pixels(path)
        else:
            image.load()
            pixels, profile = _plain_pixels(image, profile)
    if pixels.shape[2] == 2:
        pixels = np.ascontiguousarray(pixels[..., [0, 0, 0, 1]])
    return Background(path.name, pixels, profile, path)


def _plain_pixels(image: Image.Image, profile: bytes | None) -> tuple[Pixels, bytes | None]:
    from PIL import ImageCms, ImageOps

    upright = ImageOps.exif_transpose(image) or image
    if upright.mode == "CMYK":
        if profile:
            meant, srgb = _opened(profile), ImageCms.createProfile("sRGB")
            converted: Any = ImageCms.profileToProfile(upright, meant, srgb, outputMode="RGB")
            return np.array(converted), None
        return np.array(upright.convert("RGB")), None
    if upright.mode not in ("L", "RGB", "RGBA"):
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    pixels = np.array(upright)
    return pixels.reshape(*pixels.shape[:2], -1), profile


def _is_deep(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(25)[24] == 16


def _deep_pixels(path: Path) -> Pixels:
    """Reads 16 bits per channel, which Pillow would cut to 8."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    values: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise ImageRejectedError(path.name, "is damaged or cut short; copy it again")
    return _reordered(values.reshape(*values.shape[:2], -1))


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


def _opened(profile: bytes) -> Any:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def _through(eight: Pixels, source: bytes | None, target: bytes | None) -> Pixels:
    """Converts colours uint8 [h, w, 3] from one ICC profile to another; None is sRGB."""
    from PIL import Image, ImageCms

    if source == target:
        return eight
    srgb = ImageCms.createProfile("sRGB")
    start, end = (_opened(profile) if profile else srgb for profile in (source, target))
    try:
        converted: Any = ImageCms.profileToProfile(
            Image.fromarray(eight), start, end, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return eight  # a profile that does not fit the picture
    return np.asarray(converted)
