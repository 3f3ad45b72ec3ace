"""How large the product is in a background: its height, and the height of the camera over the ground."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from packshot.errors import InsertionError
from packshot.insertion.camera import Camera
from packshot.insertion.heights import height_of
from packshot.insertion.placement import MIDDLE
from packshot.insertion.plate_camera import PlateCamera

UNKNOWN_HEIGHT_METRES = 0.2
"""Of a product whose noun is in no table: something on a table."""
STANDING_METRES = 1.6
"""How high a camera is held by somebody who stands."""
_CLOSE_UP_METRES = 0.6
"""Smaller things are photographed from near, so that they fill a good part of the picture."""
_FRAMED = 0.3
"""Of the picture's height: what a thing in a close-up takes, in the middle of the ground."""
_MOST_METRES = 1000.0
_GRAZING = 0.01


@dataclass(frozen=True)
class Scale:
    """Heights in metres, and in words what was taken for granted.

    Attributes:
        product: the product's height.
        camera: the camera's height over the ground that the product stands on.
    """

    product: float
    camera: float
    notes: tuple[str, ...] = ()

    @property
    def relative(self) -> float:
        """The product's height in camera heights."""
        return self.product / self.camera


def scale_of(
    plate: PlateCamera,
    noun: str,
    tall: float | None = None,
    camera_height: float | None = None,
    known: str | None = None,
) -> Scale:
    """The scale in a background, by what is known of it and else by what is usual.

    Args:
        noun: the product's class noun, for its usual height.
        tall: the product's height in metres, if it is known.
        camera_height: the camera's height in metres, if it is known.
        known: something of known size in the background, as `camera_height_by` reads it.

    Raises:
        InsertionError: a height is not a number of metres, the camera's is told twice, or as
            `camera_height_by`.
    """
    for option, metres in (("--tall", tall), ("--camera-height", camera_height)):
        if metres is not None and not 0 < metres <= _MOST_METRES:
            raise InsertionError(f"{option} {metres:g} is no height in metres, such as 0.12.")
    if known is not None and camera_height is not None:
        raise InsertionError(
            "Both --known and --camera-height say how high the camera is: give one of them."
        )
    notes = []
    if tall is None:
        usual = height_of(noun)
        tall = usual[0] if usual else UNKNOWN_HEIGHT_METRES
        what = f"as {_a(usual[1])} usually is" if usual else f"for want of a height of {_a(noun)}"
        notes.append(f"the product is taken to be {tall:g} m tall, {what} (--tall)")
    if known is not None:
        return Scale(tall, camera_height_by(plate.camera, known), tuple(notes))
    if camera_height is None:
        camera_height, how = _usual_camera_height(plate, tall)
        notes.append(
            f"the camera is taken to be {camera_height:.2g} m over the ground, {how} "
            "(--known, or --camera-height)"
        )
    return Scale(tall, camera_height, tuple(notes))


def camera_height_by(camera: Camera, known: str) -> float:
    """The camera's height in metres by something of known size in the background.

    Args:
        known: "x1,y1,x2,y2=METRES" in pixels: foot and top of something upright on the ground, or
            two points on the ground, one beside the other.

    Raises:
        InsertionError: it cannot be read, or does not stand on the ground below the horizon.
    """
    numbers = re.fullmatch(
        r"\s*" + r"\s*,\s*".join([r"(-?\d{1,6}(?:\.\d+)?)"] * 4) + r"\s*=\s*(\d{1,4}(?:\.\d+)?)\s*",
        known,
    )
    values = [float(number) for number in numbers.groups()] if numbers else []
    if not values or not values[4] or math.dist(values[:2], values[2:4]) < 4:
        raise InsertionError(
            f'"{known}" tells no size: give two points in pixels and what lies between them in '
            'metres, such as "120,420,120,300=0.12" for something upright, 0.12 m tall.'
        )
    x1, y1, x2, y2, metres = values
    (foot, top) = ((x1, y1), (x2, y2)) if y1 >= y2 else ((x2, y2), (x1, y1))
    if camera.below_horizon(*foot) <= 0:
        raise InsertionError(
            f'"{known}" lies above the horizon at {camera.horizon:.0f} px, so it does not stand on '
            "the ground. Measure something else, or set --horizon."
        )
    if abs(x1 - x2) <= abs(y1 - y2):
        size = camera.height_of(foot, top)
    else:
        size = camera.distance_between((x1, y1), (x2, y2))
    return metres / max(size, 1e-6)


def _usual_camera_height(plate: PlateCamera, tall: float) -> tuple[float, str]:
    """The camera's height in metres, and in words how it was found."""
    camera = plate.camera
    middle = camera.width / 2, camera.ground_row(MIDDLE)
    if plate.distance:
        down = max(math.sin(camera.below_horizon(*middle)), _GRAZING)
        return plate.distance * down, f"as its focus at {plate.distance:g} m says"
    if tall >= _CLOSE_UP_METRES:
        return STANDING_METRES, "as high as a standing person's eyes"
    # So far away that the product fills its usual part of the picture.
    framed = tall * camera.pixels_per_height(*middle) / (_FRAMED * camera.height)
    return min(framed, STANDING_METRES), "as in a close-up of such a thing"


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
