"""Colours that containers state: found where the standards put them, and nothing else is."""

import io
import struct

import pytest
from PIL import Image

from packshot.images import containers
from packshot.images.containers import colour_codes
from tests.odd_files import coloured, encoded, painted, video


def of(data):
    file = io.BytesIO(data)
    file.seek(min(3, len(data)))
    codes = colour_codes(file)
    assert file.tell() == min(3, len(data)), "where it was"
    return codes


def box(kind, *inside):
    data = b"".join(inside)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def element(name, data):
    """Of EBML (RFC 8794): the name, the length in eight bytes, the data."""
    raw = name.to_bytes((name.bit_length() + 7) // 8, "big")
    return raw + (len(data) | 1 << 56).to_bytes(8, "big") + data


def matroska(curve=b"\x10", primaries=b"\x09", endless=False):
    """The elements of RFC 9559 that lead to a video track's colours, among others."""
    colour = element(
        0x55B0, element(0x55B1, b"\1") + element(0x55BA, curve) + element(0x55BB, primaries)
    )
    track = element(0xAE, element(0xD7, b"\1") + element(0xE0, element(0xB0, b"\xc0") + colour))
    sound = element(0xAE, element(0xE1, b"\0" * 9))
    inside = element(0x114D9B74, bytes(9)) + element(0x1654AE6B, sound + track)
    segment = (
        b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + inside if endless else element(0x18538067, inside)
    )
    return element(0x1A45DFA3, element(0x4282, b"matroska")) + segment


@pytest.mark.parametrize("codes", [(9, 16), (1, 1), (12, 18)])
def test_colours_of_an_mp4_a_mov_and_an_avif(codes):
    assert of(video(3)) is None
    assert of(coloured(video(3), *codes)) == codes
    nclc = coloured(video(3), *codes).replace(b"nclx", b"nclc")  # as QuickTime writes it
    assert of(nclc) == codes
    avif = encoded(painted(3), "AVIF")
    at = avif.index(b"nclx") + 4
    assert of(avif) == struct.unpack(">HH", avif[at : at + 4])
    assert of(avif[:at] + struct.pack(">HH", *codes) + avif[at + 4 :]) == codes


@pytest.mark.parametrize("endless", [False, True])
def test_colours_of_a_matroska(endless):
    assert of(matroska(endless=endless)) == (9, 16)
    assert of(matroska(b"\0\x12", b"", endless=endless)) == (0, 18)
    assert of(video(3, ".webm", codec="VP80")) is None


NONE = {
    "nothing": b"",
    "words": b"these are words, and no picture" * 9,
    "a JPEG": encoded(painted(3), "JPEG"),
    "a PNG": encoded(painted(3), "PNG"),
    "elsewhere": box(b"moov", box(b"udta", box(b"colr", b"nclx", bytes((0, 9, 0, 16, 0))))),
    "an ICC profile": box(b"meta", bytes(4), box(b"iprp", box(b"ipco", box(b"colr", b"prof", bytes(9))))),
    "a box shorter than itself": box(b"moov", struct.pack(">I4s", 3, b"trak")) * 9,
    "a Matroska without an end": matroska()[:80],
}  # fmt: skip


@pytest.mark.parametrize("kind", NONE)
def test_what_states_no_colours(kind):
    assert of(NONE[kind]) is None


def test_what_is_cut_or_without_end_comes_to_one(monkeypatch):
    whole = [coloured(video(3), 9, 16), matroska(), encoded(Image.new("RGB", (9, 9)), "AVIF")]
    for data in whole:
        for end in range(0, len(data), 7):
            assert of(data[:end]) in (None, (9, 16), (2, 16), (0, 16), (1, 13))
    deep = b""
    for _ in range(500):
        deep = box(b"moov", deep)
    assert of(deep) is None
    asked = []
    monkeypatch.setattr(containers, "_MOST_PARTS", 50)
    many = io.BytesIO(box(b"free") * 10_000)
    read = many.read
    many.read = lambda size: asked.append(size) or read(size)
    assert colour_codes(many) is None and len(asked) < 60
