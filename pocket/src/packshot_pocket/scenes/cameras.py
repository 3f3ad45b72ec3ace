"""Where a camera stands so that the product fills as much of the picture as it shall."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, cos, radians, sin, tan

import numpy as np

from packshot_pocket.scenes.shape import Array
from packshot_pocket.scenes.spec import CameraSpec

SENSOR_MM = 36.0
_AIM = 0.75  # height at which the camera looks; the lens is shifted from there
_TALLEST = 0.66  # share of the picture's height that a product may take


@dataclass(frozen=True)
class Stand:
    """A camera's place and the product's turn; angles in radians, the camera looks along +y."""

    turn: float
    place: tuple[float, float, float]
    pitch: float
    shift: tuple[float, float]
    focal_mm: float

    @property
    def horizon(self) -> float:
        """How far below the picture's upper edge the horizon is, in its sides."""
        return 0.5 - (self.focal_mm / SENSOR_MM * tan(self.pitch) - self.shift[1])


def _corners(box: Array, turn: float) -> Array:
    """The corners [8, 3] of a turned box [2, 3]."""
    low, high = box
    x, y, z = np.stack(np.meshgrid(*np.stack([low, high]).T), -1).reshape(8, 3).T
    return np.stack((x * cos(turn) - y * sin(turn), x * sin(turn) + y * cos(turn), z), -1)


def _projected(corners: Array, distance: float, camera: CameraSpec) -> Array:
    """Low and high corner of the product in the picture [2, 2], in picture widths from the middle."""
    pitch = atan((camera.height - _AIM) / distance)
    x, y, z = corners.T
    y, z = y + distance, z - camera.height
    depth = y * cos(pitch) - z * sin(pitch)
    up = y * sin(pitch) + z * cos(pitch)
    scale = camera.focal_mm / SENSOR_MM / depth
    flat = np.stack((x * scale, up * scale), -1)
    return np.stack((flat.min(0), flat.max(0)))


def stand(box: Array, camera: CameraSpec) -> Stand:
    """As far away as the fill asks, the lens shifted so that the product is near the middle.

    `box` [2, 3] holds the product's lowest and highest corner before it is turned.
    """
    turn = radians(camera.azimuth_degrees) - np.pi / 2
    corners = _corners(box, turn)
    near, far = 0.6 + float(np.abs(corners[:, 1]).max()), 40.0
    for _ in range(30):
        distance = (near + far) / 2
        size = np.ptp(_projected(corners, distance, camera), axis=0)
        too_large = size[0] > camera.fill or size[1] > min(camera.fill, _TALLEST)
        near, far = (distance, far) if too_large else (near, distance)
    low, high = _projected(corners, distance, camera)
    margin = (1 - (high - low)) / 2
    wanted = np.array(camera.jitter) * margin * (0.5, 0.22) - (0, margin[1] * 0.28)
    shift = (low + high) / 2 - wanted
    return Stand(
        turn,
        (0, -distance, camera.height),
        atan((camera.height - _AIM) / distance),
        (float(shift[0]), float(shift[1])),
        camera.focal_mm,
    )
