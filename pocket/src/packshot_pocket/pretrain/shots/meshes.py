"""Surfaces as grids of points, and what is made of them: turned, lofted, bent and rounded solids.

Lengths are about the product's size; x is to the right, y up and z towards the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, sin
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Coat:
    """How a surface looks.

    Attributes:
        texture: its number in the bank of textures.
        repeats: of the texture, around and along.
        tint: linear RGB, which the texture is multiplied by.
        gloss: of its reflections: 0 for none, 1 for a mirror.
        metal: how far reflections have its colour, and nothing else shows.
        sharp: 0 for reflections of wide areas only, 1 for sharp ones.
        uneven: how far the surface follows the relief, a texture's number.
    """

    texture: int = 0
    repeats: tuple[float, float] = (1.0, 1.0)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gloss: float = 0.04
    metal: float = 0.0
    sharp: float = 0.5
    uneven: float = 0.0
    relief: int = 0


@dataclass(frozen=True)
class Surface:
    """A grid of points [rows, columns, 3] and its coat."""

    points: Array
    coat: Coat = field(default_factory=Coat)

    def moved(
        self, matrix: Array, offset: Array | tuple[float, float, float] = (0, 0, 0)
    ) -> Surface:
        """Multiplied by a matrix [3, 3], then moved."""
        moved = self.points @ np.asarray(matrix, np.float32).T + np.asarray(offset, np.float32)
        return Surface(moved.astype(np.float32), self.coat)


def turn(axis: str, angle: float) -> Array:
    """The matrix of a rotation about an axis, in radians."""
    c, s = cos(angle), sin(angle)
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }[axis]
    return np.array(rows, np.float32)


def curve(values: Any, count: int, kind: str = "smooth") -> Array:
    """`count` values along a curve through control values [n] or [n, d], evenly spaced."""
    from scipy.interpolate import PchipInterpolator

    control = np.asarray(values, np.float64)
    places = np.linspace(0, len(control) - 1, count)
    if kind == "smooth":
        return np.asarray(PchipInterpolator(np.arange(len(control)), control)(places), np.float32)
    columns = control.reshape(len(control), -1).T
    lines = np.stack([np.interp(places, np.arange(len(control)), column) for column in columns], -1)
    return lines.reshape(count, *control.shape[1:]).astype(np.float32)


def lathe(
    radii: Array, heights: Array, coat: Coat, around: int = 36, start: float = 0.0
) -> Surface:
    """A profile [n] turned about the y axis."""
    angles = np.linspace(0, 2 * np.pi, around + 1, dtype=np.float32) + start
    ring = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=1)
    points = np.asarray(radii)[:, None, None] * ring
    points[..., 1] = np.asarray(heights)[:, None]
    return Surface(points.astype(np.float32), coat)


def _power(value: Array, exponent: float) -> Array:
    return np.sign(value) * np.abs(value) ** exponent


def rounded(size: tuple[float, float, float], squareness: float, coat: Coat) -> Surface:
    """A superellipsoid that stands on y = 0: a ball with squareness 0, towards 1 a box."""
    exponent = max(0.08, 1 - squareness)
    # Denser where a box's edges are.
    low, round_ = np.linspace(-1, 1, 21), np.linspace(-1, 1, 37)
    lat = (np.sign(low) * np.abs(low) ** 0.9) * np.pi / 2
    lon = round_ * np.pi
    ring = _power(np.cos(lat), exponent)[:, None]
    points = np.stack(
        [
            ring * _power(np.sin(lon), exponent),
            np.broadcast_to(_power(np.sin(lat), exponent)[:, None], (21, 37)) + 1,
            ring * _power(np.cos(lon), exponent),
        ],
        axis=-1,
    )
    return Surface((points * np.array(size) / 2).astype(np.float32), coat)


def tube(path: Array, radii: Any, coat: Coat, flat: float = 1.0, around: int = 10) -> Surface:
    """A tube about a path [n, 3]; `flat` is its thickness beside its width. Both ends are closed."""
    path = np.asarray(path, np.float32)
    path = np.concatenate([path[:1], path, path[-1:]])
    count = len(path)
    radius = np.interp(
        np.linspace(0, 1, count - 2), np.linspace(0, 1, np.size(radii)), np.ravel(radii)
    )
    radius = np.concatenate([[0], radius, [0]]).astype(np.float32)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
    side = np.empty_like(path)
    last = np.array([0.3, 0.2, 1], np.float32)
    for index in range(count):
        last = last - along[index] * (last @ along[index])
        last = last / (np.linalg.norm(last) + 1e-6)
        side[index] = last
    other = np.cross(along, side)
    angles = np.linspace(0, 2 * np.pi, around + 1, dtype=np.float32)
    points = path[:, None] + radius[:, None, None] * (
        np.cos(angles)[:, None] * side[:, None] + flat * np.sin(angles)[:, None] * other[:, None]
    )
    return Surface(points.astype(np.float32), coat)


def loft(
    places: Array, widths: Array, lows: Array, highs: Array, coat: Coat, exponent: float = 0.7
) -> Surface:
    """Sections along x, each of a width (z) between two heights (y); all [n]. Ends are closed."""
    places, widths, lows, highs = (
        np.concatenate([each[:1], each, each[-1:]]) for each in (places, widths, lows, highs)
    )
    angles = np.linspace(0, 2 * np.pi, 29)
    y, z = _power(np.sin(angles), exponent), _power(np.cos(angles), exponent)
    open_ = np.ones(len(places))
    open_[[0, -1]] = 0
    middle, half = (lows + highs) / 2, (highs - lows) / 2 * open_
    points = np.stack(
        [
            np.broadcast_to(places[:, None], (len(places), len(angles))),
            middle[:, None] + half[:, None] * y,
            (widths / 2 * open_)[:, None] * z,
        ],
        axis=-1,
    )
    return Surface(points.astype(np.float32), coat)
