"""`Camera`: a pinhole camera over level ground, and what it sees where.

Directions are (right, down, forward) of the camera, as its picture has them. (Hartley and Zisserman
2003, chapters 6 and 8; Criminisi, Reid and Zisserman 2000 for heights from one view.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

USUAL_FOCAL = 1.2
"""Focal length in longer sides of the picture, where nothing tells it: 43 mm on film."""
_GRAZING = math.radians(0.5)
"""The least angle below the horizon at which ground is seen: nearer to it, distances say nothing."""


@dataclass(frozen=True)
class Camera:
    """The camera of an upright picture.

    Attributes:
        focal: focal length in pixels.
        pitch: how far it looks down from level, in radians.
        roll: how far the picture's ground is turned clockwise, in radians.
    """

    width: int
    height: int
    focal: float
    pitch: float
    roll: float = 0.0

    @classmethod
    def with_horizon(
        cls, width: int, height: int, horizon: float, focal: float | None = None, roll: float = 0.0
    ) -> Camera:
        """The camera whose horizon crosses the picture's middle column at that height, in pixels."""
        focal = focal or USUAL_FOCAL * max(width, height)
        above = (height / 2 - horizon) * math.cos(roll)
        return cls(width, height, focal, math.atan2(above, focal), roll)

    @property
    def horizon(self) -> float:
        """Where the horizon crosses the middle column: pixels from the top, or beyond the picture."""
        return self.height / 2 - self.focal * math.tan(self.pitch) / math.cos(self.roll)

    @cached_property
    def up(self) -> np.ndarray:
        """The direction of up, [3]."""
        level, steep = math.cos(self.pitch), math.sin(self.pitch)
        return np.array([math.sin(self.roll) * level, -math.cos(self.roll) * level, -steep])

    def ground_row(self, near: float) -> float:
        """A row of the ground that is seen, from 0 for its farthest to 1 for the lower edge."""
        farthest = min(max(self.horizon, 0.0), self.height)
        return farthest + (self.height - farthest) * near

    def ray(self, x: float, y: float) -> np.ndarray:
        """The direction in which a pixel looks, [3], as long as the focal length along the axis."""
        return np.array([x - self.width / 2, y - self.height / 2, self.focal])

    def below_horizon(self, x: float, y: float) -> float:
        """How far below the horizon a pixel looks, in radians; negative above it."""
        ray = self.ray(x, y)
        return math.asin(float(-(ray @ self.up) / np.linalg.norm(ray)))

    def tilt(self, x: float, y: float) -> float:
        """How far an upright thing that stands at a pixel leans clockwise in the picture, in radians."""
        # A little way up from the point the pixel shows, as it is projected.
        ray, up = self.ray(x, y), self.up
        across = up[0] - ray[0] / self.focal * up[2]
        down = up[1] - ray[1] / self.focal * up[2]
        return math.atan2(across, -down)

    def pixels_per_height(self, x: float, y: float) -> float:
        """At ground that a pixel shows, how many pixels one camera height across the view spans.

        No ground is seen near and above the horizon; there it is as just below.
        """
        drop = float(-(self.ray(x, y) @ self.up))
        return max(drop, self.focal * math.sin(_GRAZING))

    def seen_height(self, x: float, y: float, height: float) -> float:
        """How many pixels tall an upright thing of that height, in camera heights, is with its foot there."""
        foot = self.ray(x, y) / self.pixels_per_height(x, y)  # in camera heights
        top = foot + height * self.up
        if top[2] <= foot[2] * 0.05:  # it reaches over the camera
            return math.inf
        seen = self.focal * top[:2] / top[2]
        return math.dist(seen, (x - self.width / 2, y - self.height / 2))

    def height_of(self, foot: tuple[float, float], top: tuple[float, float]) -> float:
        """The height in camera heights of an upright thing that is seen from foot to top."""
        standing = self.ray(*foot) / self.pixels_per_height(*foot)
        # The point of the top's ray that lies nearest to the upright over the foot.
        sight = self.ray(*top)
        sides = np.stack([self.up, -sight], axis=1)
        (height, _), *_ = np.linalg.lstsq(sides, -standing, rcond=None)
        return float(height)

    def distance_between(self, first: tuple[float, float], second: tuple[float, float]) -> float:
        """The distance in camera heights of two points of the ground."""
        points = [self.ray(*point) / self.pixels_per_height(*point) for point in (first, second)]
        return float(np.linalg.norm(points[0] - points[1]))
