"""A picture in another format, with its metadata, and with credentials again if it had some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from packshot.errors import DeliveryError, PackshotError
from packshot.images.colour import as_rgb_profile
from packshot.images.encoding import JPEG_EXIF, commented
from packshot.images.metadata import IIM_TAG, iim_segment
from packshot.insertion.background import Background, load_background
from packshot.provenance.marking import Claim, Ingredient, Marking, mime_of
from packshot.provenance.verify import Statement, verify
from packshot.provenance.xmp import kept_packet, without_history
from packshot.utils import overwriting, pathnames, serialization


@dataclass(frozen=True)
class Encoding:
    """A format: how Pillow calls it, its MIME type, its options, and whether it keeps every value."""

    name: str
    mime: str
    options: dict[str, Any]
    is_lossless: bool = False
    longest: float = inf
    """Pixels of a side."""


_GOOD = {"quality": 95}
ENCODINGS = {
    "png": Encoding("PNG", "image/png", {}, True),
    "jpg": Encoding(
        "JPEG", "image/jpeg", {**_GOOD, "subsampling": 0, "optimize": True}, longest=65_500
    ),
    "webp": Encoding("WEBP", "image/webp", {"lossless": True, "exact": True}, True, longest=16_383),
    "tiff": Encoding("TIFF", "image/tiff", {}, True),
    "heic": Encoding("HEIF", "image/heic", {**_GOOD, "chroma": "444"}),
}
"""By their endings. All but PNG have 8 bits a channel. TIFF is not compressed: with that, Pillow's writer
(13.0) fails on EXIF."""
_XMP_TAG, _MAX_COMMENT, _MAX_XMP = 700, 65_533, 65_504
"""The tag of TIFF, and bytes that a JPEG's comment and its XMP have at most."""
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def convert(picture: Path, folder: Path, kind: str) -> Path:
    """Write a picture in another format: upright, with its EXIF, XMP and colour profile.

    If it has Content Credentials, the new file has some that say that it was transcoded, with the
    picture as its parent and so with all that the picture's own say; without them it has none.

    Args:
        kind: of `ENCODINGS`. Transparency becomes white in JPEG.

    Returns:
        The new file, named as the picture.

    Raises:
        DeliveryError: there is no such format, the picture itself would be overwritten, it is not as
            it was signed, or it or its XMP is larger than the format takes.
        ImageRejectedError: as `load_background`.
        OverwriteError: another file has the name.
        CredentialsError: what it is to be signed with cannot be used.
    """
    if kind not in ENCODINGS:
        raise DeliveryError(f"There is no format {kind!r}; there are {', '.join(ENCODINGS)}.")
    target = folder / f"{picture.stem}.{kind}"
    if pathnames.exists(target) and target.resolve() == picture.resolve():
        raise DeliveryError(
            f"{picture} would be overwritten: name another format, or a folder with --out."
        )
    overwriting.refuse_others(target)
    read, said = load_background(picture), verify(picture, seeks_watermark=False)
    _refuse_large(read, kind)
    claim = _claim(picture, target, said)
    if claim is None:
        data = encoded(read, kind, _fitting(read, kept_packet(read.xmp), kind))
    else:
        marking = Marking()
        marking.check()
        data = encoded(read, kind, _fitting(read, marking.xmp(claim, read.xmp), kind))
        data = marking.signed(data, ENCODINGS[kind].mime, claim)
    overwriting.write_result(target, data)
    return target


def convert_all(
    pictures: Sequence[Path], folder: Path | None, kind: str, failed: dict[Path, str]
) -> Iterator[Path]:
    """As `convert`, of several; one that cannot be converted does not keep the others from it.

    Args:
        folder: None for each picture's own.
        failed: receives those that were not converted, with the reasons.

    Raises:
        PackshotError: as `convert`, of one picture alone.
    """
    made: dict[Path, Path] = {}
    for picture in pictures:
        target = (folder or picture.parent) / f"{picture.stem}.{kind}"
        try:
            if other := made.get(target.absolute()):
                raise DeliveryError(
                    f"it would be called {target.name}, as {other} is: convert it into another folder"
                )
            yield convert(picture, target.parent, kind)
        except PackshotError as error:
            if len(pictures) == 1:
                raise
            failed[picture] = str(error)
        else:
            made[target.absolute()] = picture


def _claim(picture: Path, target: Path, said: Statement) -> Claim | None:
    if said.state == "changed":
        raise DeliveryError(
            f"{picture.name} is not as it was signed ({'; '.join(said.why)}), so it is not signed anew. Take "
            "the file as it was made."
        )
    data = picture.read_bytes()
    mime = mime_of(data)
    if said.state == "none" or mime is None:
        return None
    parent = Ingredient(picture.name, "parentOf", data, mime)
    details = said.details or {}
    return Claim(target.name, said.origin, details, (parent,), action="c2pa.transcoded")


def encoded(picture: Background, kind: str, xmp: bytes | None) -> bytes:
    """A picture's values as a file of this format, with its EXIF, profile and an XMP packet."""
    if kind == "png":
        return picture.as_png(xmp)
    encoding = ENCODINGS[kind]
    exif = _exif(picture, kind, xmp)
    image = _eight_bits(picture)
    if image.mode == "RGBA" and kind == "jpg":
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image.getchannel("A"))
        image = page
    # WebP knows no grey: what is written is RGB, and so must its profile be.
    profile = as_rgb_profile(picture.profile) if kind == "webp" else picture.profile
    told: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    if kind == "jpg":
        told["comment"] = dict(picture.texts).get("Comment", "").encode()[:_MAX_COMMENT]
        told["extra"] = iim_segment(picture.iim) if picture.iim else None
    if kind != "tiff":
        told["xmp"] = xmp
    given = {key: value for key, value in told.items() if value}
    return serialization.image_bytes(f".{encoding.name}", image, **encoding.options, **given)


def _refuse_large(picture: Background, kind: str) -> None:
    longest = ENCODINGS[kind].longest
    if max(picture.width, picture.height) > longest:
        raise DeliveryError(
            f"{picture.name} has {picture.width} x {picture.height} px, and a side of this format {longest} "
            "at most: take png, tiff or heic."
        )


def _fitting(picture: Background, packet: bytes | None, kind: str) -> bytes | None:
    """A packet as the format takes it: of a long one a JPEG does without the editors' notes of their work."""
    if packet is None or kind != "jpg" or len(packet) <= _MAX_XMP:
        return packet
    if len(shorter := without_history(packet)) <= _MAX_XMP:
        return shorter
    raise DeliveryError(
        f"The XMP of {picture.name} has {len(packet):,} bytes, and a JPEG's {_MAX_XMP:,} at most: take png, "
        "webp, tiff or heic."
    )


def _exif(picture: Background, kind: str, xmp: bytes | None) -> bytes:
    """The picture's EXIF with what the format has no other place for."""
    exif = Image.Exif()
    exif.load(picture.exif)
    if xmp and kind == "tiff":
        exif[_XMP_TAG] = xmp
    if picture.iim and kind != "jpg":
        exif[IIM_TAG] = picture.iim
    data = exif.tobytes() if len(exif) else b""
    parameters = dict(picture.texts).get("parameters")
    if not parameters:
        return data
    more = commented(parameters, data)
    return data if kind == "jpg" and len(more) > JPEG_EXIF else more


def _eight_bits(picture: Background) -> Image.Image:
    values = picture.pixels
    if values.dtype == np.uint16:
        values = (values.astype(np.float32) / 257).round().astype(np.uint8)
    flat = values[..., 0] if values.shape[2] == 1 else values
    return Image.fromarray(np.ascontiguousarray(flat), _MODES[values.shape[2]])
