"""How a place in a background is seen, and how well a photo of the product is seen alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from packshot.insertion.background import Box
from packshot.insertion.photo_camera import PhotoCamera
from packshot.insertion.plate_camera import PlateCamera

_ALIKE = 8.0
"""Standard deviation in degrees of what eyes forgive."""
_NINE_IN_TEN = 1.64
"""Standard deviations to either side."""
_GRAZING = 1.0
"""Degrees: ground that is seen more flatly shows no shadow's direction."""
_LEAST_TURN, _MOST_TURN = 0.5, 10.0
"""Degrees. Less is not seen; what leans more in its photo was laid or hung so."""
_TRUSTED = 0.2
"""How much of the lean of a place's uprights is believed where only the picture tells it. (What fits 14
photos of cans, candles, vases and clocks best: they lean by 1.8 degrees, root mean square, and what the
picture tells is off by 2.4.)"""
_MOST_TOLD = 10.0
"""Degrees: a picture that tells of more lean than this tells of lines that are no uprights."""
_PERSPECTIVE = 2.5
"""Degrees that something leans at most because it stands at the side: more would look as if it fell."""


@dataclass(frozen=True)
class Viewpoint:
    """How the place is seen: degrees below the horizon, degrees that uprights lean clockwise there."""

    plate: PlateCamera
    elevation: float
    tilt: float
    sizes: bool = False
    """Whether the product's size there follows from the horizon."""

    @classmethod
    def at(cls, plate: PlateCamera, box: Box, sizes: bool = False) -> Viewpoint:
        """The viewpoint of what stands on the lower edge of a box of the background."""
        foot = box.left + box.width / 2, float(box.bottom)
        elevation = math.degrees(plate.camera.below_horizon(*foot))
        return cls(plate, elevation, _lean(plate, foot), sizes)

    @property
    def spread(self) -> float:
        """The standard deviation of `elevation` in degrees."""
        return math.degrees(self.plate.spread)

    @property
    def interval(self) -> tuple[float, float]:
        """Between which elevations in degrees the place is seen, nine times in ten."""
        reach = _NINE_IN_TEN * self.spread
        return self.elevation - reach, self.elevation + reach

    @property
    def shares(self) -> tuple[float, float]:
        """How far below the horizon it is at the ends of that, over how far it is taken to be."""
        own = math.tan(math.radians(max(self.elevation, _GRAZING)))
        low, high = (math.tan(math.radians(max(end, _GRAZING))) / own for end in self.interval)
        return low, high

    def fits(self, photo: PhotoCamera) -> float:
        """How alike a photo sees the product, 0 to 1, by the angle between and what is not known of both.

        It falls slowly (Student's t of two degrees of freedom) where they are far apart: of two photos
        that look wrong, the clearer one is better.
        """
        width = _ALIKE**2 + photo.spread**2 + self.spread**2
        apart = (photo.elevation - self.elevation) ** 2 / width
        return _ALIKE / math.sqrt(width) / (1 + apart / 2) ** 1.5

    def turn_for(self, photo: PhotoCamera) -> float:
        """Degrees to turn a cut-out clockwise so that it stands upright in the place."""
        if photo.tilt is None:
            return 0.0
        turn = self.tilt - photo.tilt
        if abs(turn) < _LEAST_TURN or abs(photo.tilt) > _MOST_TURN:
            return 0.0
        return max(-_MOST_TURN, min(turn, _MOST_TURN))


def _lean(plate: PlateCamera, foot: tuple[float, float]) -> float:
    """Degrees that what stands there should lean clockwise: as the camera rolls, and a little outwards."""
    if not plate.is_sure:
        return 0.0
    roll, lean = math.degrees(plate.camera.roll), math.degrees(plate.camera.tilt(*foot))
    if not plate.by_level:
        return _TRUSTED * lean if abs(lean) <= _MOST_TOLD else 0.0
    return roll + max(-_PERSPECTIVE, min(lean - roll, _PERSPECTIVE))
