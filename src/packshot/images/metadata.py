"""What files say beside EXIF and XMP: PNG's texts, JPEG's comment, and IPTC's older records (IIM 4.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packshot.images.encoding import XMP_TEXT

if TYPE_CHECKING:
    from PIL import Image

IIM_TAG = 0x83BB
"""EXIF's tag that holds the records, in formats that have no other place for them."""
_IN_PNG, _RAW = "Raw profile type iptc", "Raw profile type "
_MAX_IIM, _MAX_TEXTS = 60_000, 2**20
_RESOURCE = re.compile(rb"8BIM\x04\x04(?:\0\0|[\1-\xff].{1,255}?)(\0\0..)\x1c", re.DOTALL)
_HEX_COLUMNS = 72

Texts = tuple[tuple[str, str], ...]


def texts_of(image: Image.Image) -> Texts:
    """A decoded PNG's texts by their keywords, or a JPEG's comment as one; none if they are too long.

    XMP and other metadata in texts ("Raw profile type …") are left out.
    """
    found = dict(_png_texts(image))
    comment = image.info.get("comment") if not found else None
    if isinstance(comment, bytes):
        found["Comment"] = _decoded(comment)
    kept = {
        key: text.replace("\0", " ")
        for key, text in found.items()
        if 0 < len(key) < 80 and text and key != XMP_TEXT and not key.startswith(_RAW)
    }
    return tuple(kept.items()) if sum(map(len, kept.values())) <= _MAX_TEXTS else ()


def iim_of(image: Image.Image) -> bytes:
    """IPTC's older records of a decoded image; empty if it has none, or they are none."""
    resources = image.info.get("photoshop")
    raw = resources.get(0x0404) if isinstance(resources, dict) else None
    raw = raw or _from_text(_png_texts(image).get(_IN_PNG, "")) or image.getexif().get(IIM_TAG)
    records = raw if isinstance(raw, bytes) else b""
    if inside := _RESOURCE.search(records[: _MAX_IIM * 2]):  # as ImageMagick writes them
        begin = inside.end() - 1
        records = records[begin : begin + int.from_bytes(inside[1], "big")]
    return records if records.startswith(b"\x1c") and len(records) <= _MAX_IIM else b""


def png_text(key: str, text: str) -> tuple[bytes, bytes]:
    """The kind and the content of a PNG's text chunk (ISO/IEC 15948, 11.3.4)."""
    name = key.encode("latin-1", "replace")
    try:
        return b"tEXt", name + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", name + bytes(5) + text.encode("utf-8", "replace")


def iim_text(iim: bytes) -> tuple[str, str]:
    """The records as a PNG's text, in ImageMagick's form, which ExifTool reads, too."""
    digits = iim.hex()
    lines = [digits[at : at + _HEX_COLUMNS] for at in range(0, len(digits), _HEX_COLUMNS)]
    return _IN_PNG, "\n".join(("", "iptc", f"{len(iim):8}", *lines, ""))


def iim_segment(iim: bytes) -> bytes:
    """The records as a JPEG's segment, among Photoshop's resources."""
    resource = b"8BIM\x04\x04\0\0" + len(iim).to_bytes(4, "big") + iim + bytes(len(iim) % 2)
    content = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content


def _png_texts(image: Image.Image) -> dict[str, str]:
    found = getattr(image, "text", None) if image.format == "PNG" else None
    return {str(key): str(text) for key, text in (found or {}).items()}


def _from_text(text: str) -> bytes:
    try:
        return bytes.fromhex("".join(text.split()[2:]))
    except ValueError:
        return b""


def _decoded(comment: bytes) -> str:
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")
