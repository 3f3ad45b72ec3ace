"""What a photo's file says of its camera: focal length, which way it looked, how far away it focused."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

EXIF_FOLDER, MAKER_NOTE, ELEVATION_ANGLE = 0x8769, 0x927C, 0x9405
"""`ELEVATION_ANGLE`, CameraElevationAngle of EXIF 2.31: degrees over level of the optical axis."""
_FOCAL_35, _DISTANCE = 0xA405, 0x9206
_WIDTH, _HEIGHT, _ORIENTATION = 0xA002, 0xA003, 0x0112
_FILM_DIAGONAL = 43.27
"""Millimetres. Focal lengths "in 35 mm film" are by the diagonal (CIPA DCG-001)."""
_APPLE = b"Apple iOS\0"
_ACCELERATION, _SIGNED_RATIONAL = 0x0008, 10
_LEAST_IN_PLANE = 0.35
"""Of gravity: with less of it in the picture's plane, the camera looks down and has no roll."""


@dataclass(frozen=True)
class ExifCamera:
    """The camera of an upright picture as its file tells it; None for what it does not tell.

    Attributes:
        focal: in pixels of the picture. A picture of other proportions than the camera's is taken
            to be its largest crop.
        pitch: radians that it looks down from level.
        roll: radians that the picture's ground is turned clockwise.
        distance: metres to what is in focus.
        is_cropped: whether the picture has other proportions than the camera's.
    """

    focal: float | None = None
    pitch: float | None = None
    roll: float | None = None
    distance: float | None = None
    is_cropped: bool = False


def exif_camera(image: Image.Image) -> ExifCamera:
    """The camera of an opened picture. Malformed EXIF tells nothing."""
    try:
        top = image.getexif()
        inside = top.get_ifd(EXIF_FOLDER)
        size = image.size[::-1] if top.get(_ORIENTATION) in (5, 6, 7, 8) else image.size
        focal, is_cropped = _focal(inside, size)
        distance = _number(inside.get(_DISTANCE))
        pitch, roll = _attitude(inside)
    except Exception:  # Pillow raises nearly anything on malformed EXIF
        return ExifCamera()
    return ExifCamera(focal, pitch, roll, distance or None, is_cropped)


def elevation_angle(image: Image.Image) -> float | None:
    """`ELEVATION_ANGLE` as it is, or from a phone's accelerometer, which its maker's note holds."""
    pitch = exif_camera(image).pitch
    return None if pitch is None else -math.degrees(pitch)


def _focal(inside: dict, size: tuple[int, int]) -> tuple[float | None, bool]:
    millimetres = _number(inside.get(_FOCAL_35))
    if not millimetres or not 5 <= millimetres <= 2000:
        return None, False
    sides = [_number(inside.get(tag)) or 0 for tag in (_WIDTH, _HEIGHT)]
    full = sorted(sides) if min(sides) > 0 else sorted(size)
    own = sorted(size)
    scale = max(own[0] / full[0], own[1] / full[1])
    is_cropped = abs(full[0] / full[1] - own[0] / own[1]) > 0.02
    return millimetres / _FILM_DIAGONAL * math.hypot(*full) * scale, is_cropped


def _attitude(inside: dict) -> tuple[float | None, float | None]:
    """Pitch and roll in radians."""
    angle = _number(inside.get(ELEVATION_ANGLE))
    pitch = -math.radians(angle) if angle is not None and -90 <= angle <= 90 else None
    gravity = _acceleration(inside.get(MAKER_NOTE) or b"")
    if gravity is None:
        return pitch, None
    right, up, out = gravity  # of the phone's screen, held upright
    steepness = math.asin(max(-1.0, min(1.0, -out / math.hypot(*gravity))))
    if math.hypot(right, up) < _LEAST_IN_PLANE * math.hypot(*gravity):
        return steepness, None
    # The picture is upright: gravity points to one of its sides, give or take the roll.
    lean = math.atan2(-right, -up)
    quarter = math.pi / 2
    return steepness, lean - quarter * round(lean / quarter)


def _acceleration(note: bytes) -> tuple[float, float, float] | None:
    """The acceleration that an iPhone felt, in g; None where the note is none of it or damaged."""
    if not note.startswith(_APPLE) or note[12:14] not in (b"MM", b"II"):
        return None
    order = ">" if note[12:14] == b"MM" else "<"
    try:
        (count,) = struct.unpack_from(order + "H", note, 14)
        for number in range(count):
            tag, kind, values, offset = struct.unpack_from(order + "HHII", note, 16 + 12 * number)
            if (tag, kind, values) == (_ACCELERATION, _SIGNED_RATIONAL, 3):
                parts = struct.unpack_from(order + "6i", note, offset)
                right, up, out = (parts[n] / parts[n + 1] for n in (0, 2, 4))
                felt = math.hypot(right, up, out)
                return (right, up, out) if 0.7 < felt < 1.3 else None  # not while it was thrown
    except (struct.error, ZeroDivisionError):
        pass
    return None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
