"""The background's light: its direction and hardness, set by the user or estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from packshot.insertion.background import Colours
from packshot.insertion.lighting_network import PIXELS, LightNetwork
from packshot.weights.loading import load_weights_into
from packshot.weights.safetensors_file import read_safetensors

_SOFT = 0.35
_HARD = 0.62


@dataclass(frozen=True)
class Light:
    """The strongest light.

    Attributes:
        azimuth_degrees: the direction it comes from, seen from above: 0 from the right, 90 from behind the
            product (its shadow falls towards the camera), 180 from the left, 270 from the camera.
        elevation_degrees: its height above the horizon.
        hardness: 0 (overcast) to 1 (sun in a clear sky).
        confidence: of the estimate, 0 to 1; 1 if the user set it.
    """

    azimuth_degrees: float
    elevation_degrees: float
    hardness: float
    confidence: float = 1.0

    @property
    def density(self) -> float:
        """The darkness of the cast shadow, 0 to 1."""
        return _SOFT + (_HARD - _SOFT) * self.hardness

    def shadow_of(self, metres: float) -> tuple[float, float]:
        """Where the shadow of a point at this height falls: distance to the right, and from the camera."""
        length = metres / math.tan(math.radians(max(self.elevation_degrees, 8)))
        azimuth = math.radians(self.azimuth_degrees)
        return -length * math.cos(azimuth), -length * math.sin(azimuth)


class LightEstimator:
    """Estimates the light with the bundled network, which was trained on rendered scenes."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load the weights: of `folder`/model.safetensors, or the bundled ones.

        Raises:
            ModelLoadError: the file is no such network's.
        """
        folder = folder or Path(__file__).parent / "weights"
        tensors = read_safetensors(folder / "model.safetensors")[0]
        self.network = load_weights_into(LightNetwork, tensors, folder, torch.float32)

    @torch.no_grad()
    def estimate(self, colours: Colours) -> Light:
        """Estimate the light of a background, sRGB [height, width, 3], resized to a square.

        The network was trained on renderings only: check the result, and correct it if it is wrong.
        """
        square = cv2.resize(
            colours.astype(np.float32), (PIXELS, PIXELS), interpolation=cv2.INTER_AREA
        )
        tensor = torch.from_numpy(square * 2 - 1).permute(2, 0, 1)[None]
        right, away, up, sun = self.network(tensor)[0].tolist()
        length = math.sqrt(right**2 + away**2 + up**2)
        return Light(
            azimuth_degrees=math.degrees(math.atan2(away, right)) % 360,
            elevation_degrees=math.degrees(math.asin(min(1.0, max(up / max(length, 1e-6), 0.05)))),
            hardness=1 / (1 + math.exp(-sun)),
            confidence=min(1.0, length),
        )
