"""The camera that took a background: from its file, from what is known of the place, or from the picture."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from packshot.errors import ImageRejectedError
from packshot.images.exif_camera import ExifCamera, exif_camera
from packshot.images.loading import opened_picture
from packshot.insertion.background import Background
from packshot.insertion.camera import Camera
from packshot.insertion.horizon import TOLERANCE, find_horizon

SURE = 0.5
"""The least confidence of a horizon that nobody has to look at."""
_PIXELS = 640
_BY_GRAVITY = 0.97
_BY_GRAVITY_CROPPED = 0.85
"""Nobody says which part of a photo was cut off."""
_WORDS = {
    "lines": "lines that meet",
    "uprights": "how uprights lean",
    "sky": "where the sky ends",
    "rim": "an edge from side to side",
}


@dataclass(frozen=True)
class PlateCamera:
    """A background's camera, with the probability that its horizon is right within `TOLERANCE`."""

    camera: Camera
    confidence: float
    by: str
    """What told the horizon, in words."""
    distance: float | None = None
    """Metres to what is in focus, if the file tells it."""
    by_level: bool = False
    """Whether its file tells how it was held: then it is known how uprights lean, too."""

    @property
    def is_sure(self) -> bool:
        return self.confidence >= SURE

    @property
    def spread(self) -> float:
        """The standard deviation of its angles, in radians."""
        within = NormalDist().inv_cdf((1 + min(max(self.confidence, 0.05), 0.999)) / 2)
        return TOLERANCE * self.camera.height / within / self.camera.focal


def camera_of(background: Background, horizon: float | None = None) -> PlateCamera:
    """The camera that took a background.

    Args:
        horizon: pixels from the top, if it is known.
    """
    told, size = _of_file(background), (background.width, background.height)
    if horizon is not None:
        known = Camera.with_horizon(*size, horizon, told.focal)
        return PlateCamera(known, 1.0, "as given", told.distance)
    if told.pitch is not None and told.focal:
        level = Camera(*size, told.focal, told.pitch, told.roll or 0.0)
        sure = _BY_GRAVITY_CROPPED if told.is_cropped else _BY_GRAVITY
        return PlateCamera(level, sure, "the camera's own level", told.distance, by_level=True)
    longest = max(size)
    seen = find_horizon(background.whole(_PIXELS)[0], told.focal and told.focal / longest)
    camera = Camera.with_horizon(*size, seen.height * size[1], told.focal, seen.roll)
    return PlateCamera(camera, seen.confidence, _WORDS[seen.by], told.distance)


def _of_file(background: Background) -> ExifCamera:
    if background.source is None:
        return ExifCamera()
    try:
        with opened_picture(background.source) as opened:
            return exif_camera(opened)
    except (ImageRejectedError, OSError):  # gone since it was read
        return ExifCamera()
