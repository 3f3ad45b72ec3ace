"""How a place in a background is seen, and how well a photo of the product is seen alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from packshot.insertion.background import Box
from packshot.insertion.photo_camera import PhotoCamera
from packshot.insertion.plate_camera import PlateCamera

_ALIKE = 8.0
"""Standard deviation in degrees of what eyes forgive."""
_LEAST_TURN, _MOST_TURN = 0.5, 10.0
"""Degrees. Less is not seen; what leans more in its photo was laid or hung so."""


@dataclass(frozen=True)
class Viewpoint:
    """How the place is seen: degrees below the horizon, degrees that uprights lean clockwise there."""

    plate: PlateCamera
    elevation: float
    tilt: float

    @classmethod
    def at(cls, plate: PlateCamera, box: Box) -> Viewpoint:
        """The viewpoint of what stands on the lower edge of a box of the background."""
        foot = box.left + box.width / 2, float(box.bottom)
        elevation = math.degrees(plate.camera.below_horizon(*foot))
        tilt = math.degrees(plate.camera.tilt(*foot)) if plate.is_sure else 0.0
        return cls(plate, elevation, tilt)

    @property
    def spread(self) -> float:
        """The standard deviation of `elevation` in degrees."""
        return math.degrees(self.plate.spread)

    def fits(self, photo: PhotoCamera) -> float:
        """How alike a photo sees the product, 0 to 1: expected over what is not known of both."""
        doubt = photo.spread**2 + self.spread**2
        width = _ALIKE**2 + doubt
        apart = (photo.elevation - self.elevation) ** 2 / width
        return math.exp(-apart / 2) * _ALIKE / math.sqrt(width)

    def turn_for(self, photo: PhotoCamera) -> float:
        """Degrees to turn a cut-out clockwise so that it stands upright in the place."""
        if photo.tilt is None:
            return 0.0
        turn = self.tilt - photo.tilt
        if abs(turn) < _LEAST_TURN or abs(photo.tilt) > _MOST_TURN:
            return 0.0
        return max(-_MOST_TURN, min(turn, _MOST_TURN))
