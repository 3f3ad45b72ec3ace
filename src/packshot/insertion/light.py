"""The plate's light: where it comes from, how hard it is, what colour its shade has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from packshot.insertion.plate import Colours

_SOFT = 0.35
_HARD = 0.62


@dataclass(frozen=True)
class Light:
    """The strongest light, as its shadows show it.

    Attributes:
        azimuth_degrees: where it comes from on the ground: 0 from the right, 90 from behind the
            product (its shadow falls towards the camera), 180 from the left, 270 from the camera.
        elevation_degrees: how high it stands.
        hardness: 0 (overcast) to 1 (sun in a clear sky).
        confidence: 0 to 1; given light has 1.
    """

    azimuth_degrees: float
    elevation_degrees: float
    hardness: float
    confidence: float = 1.0

    @property
    def density(self) -> float:
        """How much darker the ground is in the shadow."""
        return _SOFT + (_HARD - _SOFT) * self.hardness

    def shadow_of(self, metres: float) -> tuple[float, float]:
        """Where the shadow of a point so high falls: metres to the right, and away from the camera."""
        length = metres / math.tan(math.radians(max(self.elevation_degrees, 8)))
        azimuth = math.radians(self.azimuth_degrees)
        return -length * math.cos(azimuth), -length * math.sin(azimuth)


def estimated(colours: Colours, horizon: float) -> Light:
    """The light of a plate, from its sky and from how its upright things are shaded.

    Args:
        colours: the plate, sRGB [height, width, 3], small.
        horizon: its height in pixels from the top.

    Two hints are weighed. The sky is brighter where the sun is. Upright things (trunks, walls,
    rocks) are brighter on the sun's side: over edges that are dark on one side, lit ones outnumber
    the others. Neither tells front from back well; without a bright sky the light is taken to come
    from the camera's side, as photographers stand. Contrast on the ground says how hard it is.
    """
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    line = int(np.clip(horizon, 0.08 * height, 0.9 * height))
    sky = cv2.GaussianBlur(grey[:line], (0, 0), width / 24)
    columns = sky.mean(axis=0)
    across = np.linspace(-1, 1, width)
    spread = float(columns.max() - columns.min())
    lean = float(np.polyfit(across, columns, 1)[0])
    from_sky = float(np.clip(lean / 0.08, -1, 1))
    ground = grey[line:]
    slope = cv2.Sobel(cv2.GaussianBlur(ground, (0, 0), width / 160), cv2.CV_32F, 1, 0)
    steep = np.abs(slope) > np.quantile(np.abs(slope), 0.95)
    skew = _skewness(slope[steep])
    from_shading = float(np.clip(-skew, -1, 1))
    side = 0.6 * from_sky + 0.4 * from_shading
    behind = spread > 0.18 and float(sky.max()) > 0.93
    contrast = float(np.quantile(ground, 0.95) - np.quantile(ground, 0.05))
    azimuth = 90 - 80 * side if behind else 270 + 75 * side
    return Light(
        azimuth_degrees=azimuth % 360,
        elevation_degrees=22.0 if behind else 42.0,
        hardness=float(np.clip((contrast - 0.2) / 0.45, 0, 1)),
        confidence=float(np.clip(0.15 + 0.5 * abs(side), 0, 0.65)),
    )


def _skewness(values: Colours) -> float:
    if values.size < 8:
        return 0.0
    centred = values - values.mean()
    deviation = float(centred.std()) or 1.0
    return float((centred**3).mean() / deviation**3)
