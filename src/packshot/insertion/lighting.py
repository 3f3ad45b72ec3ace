"""The background's light: where it comes from, how hard it is, what colour its shade has."""

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


class LightEstimator:
    """The bundled network, which learned on rendered places without products."""

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
        """The light of a background, sRGB [height, width, 3]; it is squeezed into a square.

        Confidence is how decided the network is. It knows renderings: look, and correct it.
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
