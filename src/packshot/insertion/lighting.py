"""The background's light: its direction, hardness and shade, set by the user or estimated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from packshot.insertion.background import Colours
from packshot.insertion.existing_shadows import measure_shadows
from packshot.insertion.lighting_network import (
    ELEVATION,
    HARDNESS,
    PIXELS,
    SECTORS,
    UNDIRECTED,
    LightNetwork,
    Said,
)
from packshot.weights.loading import load_weights_into
from packshot.weights.safetensors_file import read_safetensors

CLEAR = 0.5
"""Confidence from which a light's direction is believed."""
UNCLEAR = (
    "The background does not show clearly where its light comes from, so the shade is soft: set "
    "--light-azimuth if you see it."
)
_SOFT = 0.35
_HARD = 0.62
GAMMA = 2.2
"""Of sRGB, about: light adds up before it is encoded, and opacities are of encoded values."""
_WINDOW = 4
"""Sectors of 10 degrees in which the light is with the probability that is called confidence."""
_CROPS = ((0, 0, 1, 1), (0, 0.2, 0.8, 1), (0.2, 0.2, 1, 1), (0.1, 0.1, 0.9, 0.9))
_GAMMAS = 1.0, 0.7, 1.4
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Light:
    """The strongest light.

    Attributes:
        azimuth_degrees: the direction it comes from, seen from above: 0 from the right, 90 from behind the
            product (its shadow falls towards the camera), 180 from the left, 270 from the camera.
        elevation_degrees: its height above the horizon.
        hardness: 0 (overcast) to 1 (sun in a clear sky).
        confidence: of the estimate: the probability that the azimuth is within 20 degrees; 1 if the
            user set it.
        measured_density: how much darker cast shadows in the background are than lit ground; None if it
            shows none.
        measured_softness: of the edges of these shadows; None if it shows none.
    """

    azimuth_degrees: float
    elevation_degrees: float
    hardness: float
    confidence: float = 1.0
    measured_density: float | None = None
    measured_softness: float | None = None

    @property
    def density(self) -> float:
        """The darkness of the cast shadow, 0 to 1: as measured, else by the hardness.

        What was measured of hard light is not believed below what any sun's shade has.
        """
        if self.measured_density is not None:
            return max(self.measured_density, _SOFT * self.hardness)
        return _SOFT + (_HARD - _SOFT) * self.hardness

    @property
    def direct(self) -> float:
        """The share of it that comes from its direction, 0 to 1; the rest is the sky's."""
        return self.hardness * (1 - (1 - self.density) ** GAMMA)

    @property
    def softness(self) -> float:
        """How wide the cast shadow's edge is, 0 (sharp) to 1 (as wide as the shadow)."""
        return 1 - self.hardness if self.measured_softness is None else self.measured_softness

    @property
    def is_clear(self) -> bool:
        """Whether its direction is known well enough to cast a shadow."""
        return self.confidence >= CLEAR

    def as_ambient(self) -> Light:
        """Light mostly from the sky: the less is known of its side, the softer and fainter its shadow."""
        chance = _WINDOW / SECTORS
        known = max(0.0, self.confidence - chance) / (1 - chance)
        return replace(
            self,
            hardness=known * self.hardness,
            measured_density=known * self.density,
            measured_softness=1.0,
        )

    def shadow_of(self, metres: float) -> tuple[float, float]:
        """Where the shadow of a point at this height falls: distance to the right, and from the camera."""
        length = metres / math.tan(math.radians(max(self.elevation_degrees, 8)))
        azimuth = math.radians(self.azimuth_degrees)
        return -length * math.cos(azimuth), -length * math.sin(azimuth)


class LightEstimator:
    """Estimates the light with the bundled network, asked about several views of the background."""

    def __init__(self, weights: dict[str, torch.Tensor] | None = None) -> None:
        """Take these weights, or load the bundled ones."""
        folder = Path(__file__).parent / "weights"
        tensors = weights or read_safetensors(folder / "model.safetensors")[0]
        self.network = load_weights_into(LightNetwork, tensors, folder, torch.float32)

    def estimate(self, colours: Colours) -> Light:
        """Estimate the light of a background, sRGB [height, width, 3].

        Where views disagree, the probabilities spread, and confidence falls.
        """
        said = self.answers(colours)
        shares = said.light[:, : UNDIRECTED + 1].softmax(dim=1).mean(dim=0).numpy()
        height, hard = said.light[:, [ELEVATION, HARDNESS]].sigmoid().mean(dim=0).tolist()
        azimuth, confidence = most_likely(shares[:SECTORS])
        ground, shade = said.ground[0].sigmoid().numpy()
        shadows = measure_shadows(colours, ground, shade)
        return Light(
            azimuth_degrees=float(azimuth),
            elevation_degrees=math.degrees(math.asin(min(1.0, max(height, 0.05)))),
            hardness=hard,
            confidence=float(confidence),
            measured_density=shadows.density if shadows else None,
            measured_softness=shadows.softness if shadows else None,
        )

    @torch.no_grad()
    def answers(self, colours: Colours) -> Said:
        """What the network says of each view of a background."""
        squares = np.stack(list(_views(colours)))
        said: Said = self.network(torch.from_numpy(squares * 2 - 1).permute(0, 3, 1, 2))
        return said


def _views(colours: Colours) -> Iterator[Colours]:
    """The whole and parts of it, and the whole darker and lighter, as squares [96, 96, 3]."""
    height, width = colours.shape[:2]
    for left, top, right, bottom in _CROPS:
        rows = slice(int(top * height), max(int(bottom * height), int(top * height) + 1))
        columns = slice(int(left * width), max(int(right * width), int(left * width) + 1))
        part = np.ascontiguousarray(colours[rows, columns], np.float32)
        square = cv2.resize(part, (PIXELS, PIXELS), interpolation=cv2.INTER_AREA).clip(0, 1)
        for gamma in _GAMMAS if (left, right) == (0, 1) else (1.0,):
            yield square ** np.float32(gamma)


def most_likely(shares: Floats) -> tuple[Floats, Floats]:
    """The azimuths in degrees where most of the probability lies, and how much within 20 degrees.

    Args:
        shares: probabilities of the sectors [..., 36].
    """
    around = np.concatenate([shares, shares[..., : _WINDOW - 1]], axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(around, _WINDOW, axis=-1)
    masses = windows.sum(axis=-1)
    first = masses.argmax(axis=-1)
    mass = np.take_along_axis(masses, first[..., None], -1)[..., 0]
    own = np.take_along_axis(windows, first[..., None, None], -2)[..., 0, :]
    offset = (own * (np.arange(_WINDOW) + 0.5)).sum(axis=-1) / np.maximum(mass, 1e-9)
    return (first + offset) * (360 / SECTORS) % 360, mass
