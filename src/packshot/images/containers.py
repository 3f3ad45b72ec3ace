"""What MP4, MOV, AVIF and Matroska files say of their colours; nothing is decoded.

Pillow and OpenCV do not tell it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

Codes = tuple[int, int]
"""Primaries and curve, as numbers of ITU-T H.273."""
_BOXES = {
    b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8,
    b"meta": 4, b"iprp": 0, b"ipco": 0,
}  # fmt: skip
"""Boxes that lead to one of colours, and how many bytes are before what is in them (ISO 14496-12)."""
_BEFORE_ENTRY = 78
"""As in `_BOXES`, of a kind of video in "stsd"."""
_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x55B0
_ELEMENTS = (_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR)
_CURVE, _PRIMARIES = 0x55BA, 0x55BB
_EBML = b"\x1a\x45\xdf\xa3"
_MOST_PARTS, _DEEPEST = 10_000, 12
"""Of a file: a hostile one could have as many as it has bytes."""
_UNSAID = 2


def colour_codes(file: IO[bytes]) -> Codes | None:
    """The colours that a file states first: those of its picture, or of its first video track.

    None if it states none, or is of another kind. The file stays where it was.
    """
    place = file.tell()
    end = file.seek(0, 2)
    file.seek(0)
    is_matroska = file.read(4) == _EBML
    parts = iter(range(_MOST_PARTS))
    found = _of_matroska(file, 0, end, parts) if is_matroska else _of_boxes(file, 0, end, parts)
    codes = next(found, None)
    file.seek(place)
    return codes


def _of_boxes(
    file: IO[bytes], at: int, end: int, parts: Iterator[int], depth: int = 0, within: bytes = b""
) -> Iterator[Codes]:
    while at + 8 <= end and depth < _DEEPEST and next(parts, None) is not None:
        file.seek(at)
        head = file.read(16)
        size, kind, body = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if size == 1:
            size, body = int.from_bytes(head[8:], "big"), at + 16
        stop = min(end, at + size) if size else end
        if stop < body:
            return
        if kind == b"colr":
            file.seek(body)
            data = file.read(8)
            if data[:4] in (b"nclx", b"nclc") and len(data) == 8:
                yield int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
        before = _BEFORE_ENTRY if within == b"stsd" else _BOXES.get(kind)
        if before is not None:
            yield from _of_boxes(file, body + before, stop, parts, depth + 1, kind)
        at = stop


def _of_matroska(
    file: IO[bytes], at: int, end: int, parts: Iterator[int], depth: int = 0
) -> Iterator[Codes]:
    codes: dict[int, int] = {}
    while at < end and depth < _DEEPEST and next(parts, None) is not None:
        file.seek(at)
        head = file.read(12)
        name, used = _number(head, keeps_mark=True)
        size, more = _number(head[used:], keeps_mark=False)
        if not (used and more):
            break
        body = at + used + more
        is_endless = size == 2 ** (7 * more) - 1
        stop = end if is_endless else min(end, body + size)
        if name in (_CURVE, _PRIMARIES):
            file.seek(body)
            codes[name] = int.from_bytes(file.read(min(8, stop - body)), "big")
        elif name in _ELEMENTS:
            yield from _of_matroska(file, body, stop, parts, depth + 1)
        at = stop
    if codes:
        yield codes.get(_PRIMARIES, _UNSAID), codes.get(_CURVE, _UNSAID)


def _number(data: bytes, *, keeps_mark: bool) -> tuple[int, int]:
    """A number of EBML (RFC 8794, 4) and how many bytes it takes; 0 bytes where there is none."""
    length = 9 - data[0].bit_length() if data and data[0] else 0
    if not length or len(data) < length:
        return 0, 0
    number = int.from_bytes(data[:length], "big")
    return number if keeps_mark else number & (2 ** (7 * length) - 1), length
