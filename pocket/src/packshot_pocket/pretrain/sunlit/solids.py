"""Solids that rays meet: boxes and ellipsoids and upright cylinders, with their textures.

Lengths are in camera heights; x is to the right, y away from the camera and z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NEVER = np.float32(1e9)
_TINY = np.float32(1e-6)


def array(values: Any) -> Array:
    """Values as an fp32 array."""
    return np.array(values, np.float32)


@dataclass(frozen=True)
class Coat:
    """An albedo that repeats, linear [side, side, 3], `per_length` times in a length."""

    texture: Array
    per_length: float

    def at(self, across: Array, along: Array, distance: Array) -> Array:
        """The albedo [N, 3] at places [N], smoothed where a pixel spans more than one texel."""
        if not len(across):
            return np.zeros((0, 3), np.float32)
        side = self.texture.shape[0]
        places = np.stack([across, along], axis=1) * np.float32(self.per_length * side) % side
        parts = np.array_split(places.astype(np.float32), len(places) // 30_000 + 1)
        seen = np.concatenate([self._texels(part) for part in parts])
        mean = self.texture.mean(axis=(0, 1))
        sharp = (120 / (self.per_length * side * np.maximum(distance, 0.05))).clip(0, 1)
        return mean + (seen - mean) * sharp[:, None].astype(np.float32)

    def _texels(self, places: Array) -> Array:
        """The texture at [N, 2] texels, of which OpenCV takes at most 32,767."""
        return cv2.remap(
            self.texture, places[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )[0]


@dataclass(frozen=True)
class Solid:
    """A solid about `centre` with half sides `half`, turned by `turn` radians about the vertical."""

    shape: Literal["box", "ball", "post"]
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    turn: float
    coat: Coat

    @property
    def radius(self) -> float:
        """Of a ball with about its volume."""
        return float(np.prod(self.half) ** (1 / 3))

    def met(self, origins: Array, rays: Array) -> Array:
        """Distances [N] along rays [N, 3] to where they enter it; NEVER where they do not."""
        start, way = self._own(origins, self.centre), self._own(rays, (0, 0, 0))
        if self.shape == "box":
            return _into_box(start, way)
        if self.shape == "ball":
            return _into_ball(start, way)
        return _into_post(start, way)

    def normals(self, points: Array) -> Array:
        """Unit normals [N, 3] at points [N, 3] of its surface."""
        own = self._own(points, self.centre)
        if self.shape != "ball":
            level = own.copy()
            if self.shape == "box":
                side = np.abs(own).argmax(axis=1)
                level = np.where(np.arange(3) == side[:, None], np.sign(own), 0)
            else:
                capped = np.abs(own[:, 2]) > 0.999
                level[:, 2] = 0
                level[capped] = np.sign(own[capped, 2:]) * array([0, 0, 1])
            own = level
        own = own / array(self.half)
        cosine, sine = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        turned = np.stack(
            [
                cosine * own[:, 0] - sine * own[:, 1],
                sine * own[:, 0] + cosine * own[:, 1],
                own[:, 2],
            ],
            axis=1,
        )
        return turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), _TINY)

    def albedo(self, points: Array, distance: Array) -> Array:
        """The coat [N, 3] at points of the surface."""
        across = points[:, 0] + points[:, 1]
        return self.coat.at(across, points[:, 2] + np.float32(0.3) * points[:, 1], distance)

    def _own(self, vectors: Array, origin: tuple[float, float, float]) -> Array:
        """Vectors in the solid's own axes, in which it is 1 to each side."""
        moved = vectors - array(origin)
        cosine, sine = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        x, y = cosine * moved[:, 0] + sine * moved[:, 1], cosine * moved[:, 1] - sine * moved[:, 0]
        return np.stack([x, y, moved[:, 2]], axis=1) / array(self.half)


def _into_box(start: Array, way: Array) -> Array:
    """Slabs: a ray is inside while it is between the planes of all three pairs."""
    turned = 1 / np.where(np.abs(way) < _TINY, _TINY, way)
    one, other = (-1 - start) * turned, (1 - start) * turned
    enters, leaves = np.minimum(one, other).max(axis=1), np.maximum(one, other).min(axis=1)
    return np.where((enters < leaves) & (enters > 1e-4), enters, NEVER)


def _into_ball(start: Array, way: Array) -> Array:
    square, half, rest = (way**2).sum(1), (start * way).sum(1), (start**2).sum(1) - 1
    inside = half**2 - square * rest
    enters = (-half - np.sqrt(inside.clip(0))) / np.maximum(square, _TINY)
    return np.where((inside > 0) & (enters > 1e-4), enters, NEVER)


def _into_post(start: Array, way: Array) -> Array:
    """The round wall between both ends, and the ends themselves."""
    level, place = way[:, :2], start[:, :2]
    square = np.maximum((level**2).sum(1), _TINY)
    half, rest = (place * level).sum(1), (place**2).sum(1) - 1
    inside = half**2 - square * rest
    enters = (-half - np.sqrt(inside.clip(0))) / square
    height = start[:, 2] + enters * way[:, 2]
    wall = np.where((inside > 0) & (enters > 1e-4) & (np.abs(height) < 1), enters, NEVER)
    up = np.where(np.abs(way[:, 2]) < _TINY, _TINY, way[:, 2])
    to_end = (-np.sign(up) - start[:, 2]) / up
    met = place + to_end[:, None] * level
    end = np.where(((met**2).sum(1) < 1) & (to_end > 1e-4), to_end, NEVER)
    return np.minimum(wall, end)


def nearest(solids: Sequence[Solid], origins: Array, rays: Array) -> tuple[Array, npt.NDArray[Any]]:
    """Distances [N] to the first solid that each ray meets, and its number (-1 for none)."""
    distance = np.full(len(rays), NEVER, np.float32)
    number = np.full(len(rays), -1)
    for index, solid in enumerate(solids):
        met = solid.met(origins, rays)
        number = np.where(met < distance, index, number)
        distance = np.minimum(distance, met)
    return distance, number


def lit(solids: Sequence[Solid], points: Array, towards: Array) -> npt.NDArray[np.bool_]:
    """Whether light from `towards` [3] reaches points [N, 3]."""
    free = np.ones(len(points), bool)
    for solid in solids:
        left = np.flatnonzero(free)
        rays = np.broadcast_to(towards.astype(np.float32), (len(left), 3))
        free[left] = solid.met(points[left], rays) >= NEVER
    return free
