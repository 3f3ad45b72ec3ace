"""The colours that an image file means: by ICC profile, PNG's chunks, HEIF's and AVIF's nclx, or EXIF.

Whatever a file says becomes an ICC profile, so that there is one way to convert; None is sRGB.
"""

from __future__ import annotations

import functools
import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packshot.errors import ImageRejectedError
from packshot.images.containers import Codes, colour_codes

if TYPE_CHECKING:
    from PIL import Image

Point = tuple[float, float]
Primaries = tuple[Point, Point, Point, Point]
"""CIE 1931 x, y of red, green, blue and white."""
_D65: Point = (0.3127, 0.3290)
_C: Point = (0.310, 0.316)
_SRGB: Primaries = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_ADOBE_RGB: Primaries = ((0.6400, 0.3300), (0.2100, 0.7100), (0.1500, 0.0600), _D65)
_ADOBE_GAMMA = 563 / 256
_SMPTE: Primaries = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_PRIMARIES: dict[int, Primaries] = {
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: _SMPTE,
    7: _SMPTE,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""ITU-T H.273, table 2. Others, also "unspecified", are taken for sRGB's."""
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
"""H.273, table 3. The curves of TV cameras (1, 6, 14, 15) are shown as sRGB's, as browsers do."""
HDR = {16: "PQ", 18: "HLG"}
"""Curves (H.273, table 3) of more light than a picture here can hold."""
_MEANS_SRGB = 1 / 2.2
"""PNG's gAMA of 45455 is what sRGB files say to programs that know no more."""
_COLOUR_SPACE, _EXIF_FOLDER, _INTEROPERABILITY = 0xA001, 0x8769, 0xA005
_LEAST_MIDDLE = 38 / 100 * 255
"""L* of half grey, in 255ths. It is 42 with a gamma of 3; with HLG 35, with PQ 8."""
_SAME = 2
"""Steps of 255 by which one program's sRGB profile differs from another's."""
GREY = frozenset(("1", "L", "LA", "La", "I", "I;16", "I;16B", "F"))
"""Pillow's modes without colour."""


@dataclass(frozen=True)
class _Encoding:
    """Primaries, and the curve: a gamma, None for sRGB's."""

    primaries: Primaries = _SRGB
    gamma: float | None = None


def stated_profile(opened: Image.Image, name: str) -> bytes | None:
    """The ICC profile of an image that Pillow opened from a file: the file's, or made of what it says.

    A PNG's cICP comes before its profile, that before gAMA and cHRM (PNG, third edition, 4.3); a
    HEIF's or AVIF's profile before its nclx; EXIF comes last. A profile that does not fit the image is none.

    Args:
        opened: the image, its file still open.
        name: of the file, for the error.

    Raises:
        ImageRejectedError: HDR, whose colours no SDR image can show.
    """
    codes = _png_codes(opened) or _heif_codes(opened) or _avif_codes(opened)
    if codes and codes[1] in HDR:
        raise is_hdr(name, HDR[codes[1]])
    embedded = opened.info.get("icc_profile")
    if embedded and opened.format == "AVIF":  # whose greys Pillow opens as RGB
        embedded = as_rgb_profile(embedded)
    if embedded and not (codes and opened.format == "PNG"):
        if not _fits(embedded, opened.mode):
            return None
        if curve := _hdr_curve(embedded):
            raise is_hdr(name, curve)
        return bytes(embedded)
    encoding = _of_codes(codes) if codes else _of_chunks(opened)
    # Encoders write an nclx of sRGB whatever they are given.
    if encoding is None or (opened.format in ("HEIF", "AVIF") and encoding == _Encoding()):
        encoding = _of_exif(opened)
    if encoding is None or encoding == _Encoding():
        return None
    return _profile(encoding.primaries, _curve(encoding.gamma), opened.mode in GREY)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image, grey, RGB or CMYK, in sRGB: mode RGB. `profile` None: it is in sRGB."""
    from PIL import ImageCms

    if profile is None or is_srgb(profile):
        return image if image.mode == "RGB" else image.convert("RGB")
    meant: Any = _opened(profile)
    mode = _mode_of(meant)
    image = image if image.mode == mode else image.convert(mode)
    in_place = mode == "RGB"
    try:
        converted: Any = ImageCms.profileToProfile(
            image, meant, _srgb(), outputMode="RGB", inPlace=in_place
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a damaged table
        return image.convert("RGB")
    return converted or image


def from_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An sRGB image in the colours of a profile: RGB, or "L" for a grey profile."""
    from PIL import ImageCms

    if profile is None:
        return image
    meant: Any = _opened(profile)
    mode = _mode_of(meant)
    try:
        converted: Any = ImageCms.profileToProfile(image, _srgb(), meant, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # one that only reads
        return image.convert(mode)
    return converted


def is_of_grey(profile: bytes) -> bool:
    """Whether a profile is of grey values."""
    return profile[16:20] == b"GRAY"


def as_rgb_profile(profile: bytes | None) -> bytes | None:
    """A grey profile as one of RGB in which equal values are the same greys; None if it has no curve."""
    if profile is None or not is_of_grey(profile):
        return profile
    curve = _tag(profile, b"kTRC")
    return _profile(_SRGB, curve, is_grey=False) if curve and profile[20:24] == b"XYZ " else None


@functools.lru_cache(maxsize=8)
def is_srgb(profile: bytes) -> bool:
    """Whether a profile leaves sRGB's values as they are, whatever it is called."""
    import numpy as np
    from PIL import Image, ImageCms

    meant: Any = _opened(profile)
    if _mode_of(meant) != "RGB":
        return False
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    try:
        seen: Any = ImageCms.profileToProfile(Image.fromarray(probe), meant, _srgb())
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return True  # damaged within: as it lies
    return int(np.abs(np.asarray(seen).astype(int) - probe).max()) <= _SAME


def is_hdr(name: str, curve: str) -> ImageRejectedError:
    """Why a file whose curve is one of `HDR`, or has the bits of one, is refused."""
    return ImageRejectedError(
        name,
        f"is HDR ({curve}), whose colours would come out wrong; export it as SDR, or turn HDR off in "
        "the camera's settings",
    )


def _fits(profile: bytes, mode: str) -> bool:
    """Whether a profile can be read, and is of the colours that the image has."""
    try:
        meant = _mode_of(_opened(profile))
    except (OSError, ValueError, TypeError):
        return False
    if meant == "L":
        return mode in GREY
    return meant is not None and (meant == "CMYK") == (mode == "CMYK")


@functools.lru_cache(maxsize=8)
def _hdr_curve(profile: bytes) -> str | None:
    """The name of an HDR profile's curve; by its cicp tag (ICC.1:2022, 9.2.17), or as half grey is dark."""
    from PIL import Image, ImageCms

    codes = _tag(profile, b"cicp")
    if codes and len(codes) >= 10 and codes[9] in HDR:
        return HDR[codes[9]]
    meant: Any = _opened(profile)
    if _mode_of(meant) != "RGB":
        return None
    lab: Any = ImageCms.createProfile("LAB")
    grey = Image.new("RGB", (1, 1), (128, 128, 128))
    try:
        seen: Any = ImageCms.profileToProfile(grey, meant, lab, outputMode="LAB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return "by its profile's curve" if seen.getpixel((0, 0))[0] < _LEAST_MIDDLE else None


def _png_codes(opened: Image.Image) -> Codes | None:
    """A PNG's cICP: primaries and curve. Pillow does not read it."""
    from PIL import ImageFile

    file = opened.fp if isinstance(opened, ImageFile.ImageFile) else None
    if opened.format != "PNG" or file is None:
        return None
    place = file.tell()
    file.seek(8)
    codes = None
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"cICP" and length == 4 and len(data := file.read(4)) == 4:
            codes, length = (data[0], data[1]), 0
        file.seek(length + 4, io.SEEK_CUR)
    file.seek(place)
    return codes


def _heif_codes(opened: Image.Image) -> Codes | None:
    nclx = opened.info.get("nclx_profile")
    return (nclx["color_primaries"], nclx["transfer_characteristics"]) if nclx else None


def _avif_codes(opened: Image.Image) -> Codes | None:
    from PIL import ImageFile

    file = opened.fp if isinstance(opened, ImageFile.ImageFile) else None
    return colour_codes(file) if opened.format == "AVIF" and file else None


def _of_codes(codes: Codes) -> _Encoding:
    return _Encoding(_PRIMARIES.get(codes[0], _SRGB), _GAMMAS.get(codes[1]))


def _of_chunks(opened: Image.Image) -> _Encoding | None:
    """By a PNG's gAMA and cHRM, which its sRGB overrides; None if it has neither."""
    info = opened.info
    if opened.format != "PNG" or not {"gamma", "chromaticity", "srgb"} & info.keys():
        return None
    if "srgb" in info:
        return _Encoding()
    stated, points = info.get("gamma"), info.get("chromaticity")
    gamma = 1 / stated if stated and 0.1 <= stated <= 5 else None
    primaries = _SRGB
    if points and all(point > 0 for point in points[1::2]):
        white, red, green, blue = (points[at : at + 2] for at in (0, 2, 4, 6))
        primaries = _sensible((red, green, blue, white))
    if primaries == _SRGB and stated and abs(stated - _MEANS_SRGB) < 0.001:
        gamma = None
    return _Encoding(primaries, gamma)


def _sensible(primaries: Primaries) -> Primaries:
    """The primaries, sRGB's own if they are these but for rounding, or span no colours."""
    import numpy as np

    (red_x, red_y), (green_x, green_y), (blue_x, blue_y), _ = primaries
    area = (green_x - red_x) * (blue_y - red_y) - (blue_x - red_x) * (green_y - red_y)
    if abs(area) < 0.01 or np.abs(np.subtract(primaries, _SRGB)).max() < 0.002:
        return _SRGB
    matrix = _matrix(primaries)
    return primaries if np.abs(matrix).max() < 4 else _SRGB


def _of_exif(opened: Image.Image) -> _Encoding | None:
    """Adobe RGB, as cameras say it: interoperability R03 (DCF 2.0), or the colour space 2."""
    try:
        exif = opened.getexif()
        space = exif.get_ifd(_EXIF_FOLDER).get(_COLOUR_SPACE)
        index = exif.get_ifd(_INTEROPERABILITY).get(1)
    except Exception:  # malformed EXIF says nothing; Pillow raises nearly anything on it
        return None
    index = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    is_adobe = space == 2 or (index.strip("\0 ") == "R03" and space != 1)
    return _Encoding(_ADOBE_RGB, _ADOBE_GAMMA) if is_adobe else None


def _opened(profile: bytes) -> Any:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@functools.cache
def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")


def _mode_of(profile: Any) -> str | None:
    """Pillow's mode for a profile's colours; None for those that no file here has."""
    modes = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
    return modes.get((profile.profile.xcolor_space or "").strip())


def _tag(profile: bytes, name: bytes) -> bytes | None:
    """A tag of a profile, as it lies (ICC.1:2022, 7.3); None if it is not there."""
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        if profile[at : at + 4] == name:
            start, length = struct.unpack(">II", profile[at + 4 : at + 12])
            return profile[start : start + length]
    return None


def _curve(gamma: float | None) -> bytes:
    """A parametric curve (ICC.1:2022, 10.18): a gamma, or sRGB's."""
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045) if gamma is None else (gamma,)
    kind = 3 if gamma is None else 0
    return struct.pack(">4s4xHH", b"para", kind, 0) + _fixed(numbers)


def _fixed(numbers: Any) -> bytes:
    """Numbers as s15Fixed16."""
    return b"".join(struct.pack(">i", round(float(number) * 65536)) for number in numbers)


def _matrix(primaries: Primaries) -> Any:
    """RGB to XYZ for D50 [3, 3], adapted from the primaries' white (Bradford; ICC.1:2022, annex E)."""
    import numpy as np

    red, green, blue, white = (
        np.array([x / y, 1.0, (1 - x - y) / y], np.float64) for x, y in primaries
    )
    colours = np.stack([red, green, blue], axis=1)
    return _adaptation(white) @ (colours * np.linalg.solve(colours, white))


def _adaptation(white: Any) -> Any:
    """The matrix [3, 3] that takes colours seen in the light `white` (XYZ) to D50."""
    import numpy as np

    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    gains = (cones @ np.array([0.9642, 1.0, 0.8249])) / (cones @ white)
    return np.linalg.inv(cones) @ np.diag(gains) @ cones


def _profile(primaries: Primaries, curve: bytes, is_grey: bool) -> bytes:
    """An ICC profile, version 4.3, of a curve and, unless it is grey, of primaries."""
    import numpy as np

    d50 = _fixed((0.9642, 1.0, 0.8249))
    x, y = primaries[3]
    adapted = _adaptation(np.array([x / y, 1.0, (1 - x - y) / y]))
    tags = {
        b"desc": _text("Colours as the file states them"), b"cprt": _text("CC0"),
        b"wtpt": b"XYZ \0\0\0\0" + d50, b"chad": b"sf32\0\0\0\0" + _fixed(adapted.ravel()),
    }  # fmt: skip
    if is_grey:
        tags[b"kTRC"] = curve
    else:
        for channel, column in zip((b"r", b"g", b"b"), _matrix(primaries).T, strict=True):
            tags[channel + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(column)
            tags[channel + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    space = b"GRAY" if is_grey else b"RGB "
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), bytes(4), 0x04300000, b"mntr", space, b"XYZ "
    )
    day = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head += day + b"acsp" + bytes(28) + d50
    return head.ljust(128, b"\0") + table + body


def _text(words: str) -> bytes:
    """A text in one language (ICC.1:2022, 10.15)."""
    data = words.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(data), 28) + data
