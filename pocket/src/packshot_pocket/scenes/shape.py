"""Shapes as arrays: vertices, and faces by material; none of this needs Blender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def grid_faces(rows: int, columns: int, wrap: bool = False) -> Array:
    """Quads of a grid of points stored row by row; `wrap` joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns - (not wrap)), indexing="ij")
    d = (c + 1) % columns
    quads = (r * columns + c, r * columns + d, (r + 1) * columns + d, (r + 1) * columns + c)
    return np.stack(quads, -1).reshape(-1, 4)


class Shape:
    """Vertices and faces by material, gathered piece by piece."""

    def __init__(self) -> None:
        self.vertices: list[Array] = []
        self.faces: list[tuple[Array, str]] = []
        self.count = 0

    def _place(self, vertices: Array) -> int:
        """Append vertices; the number of the first."""
        vertices = np.asarray(vertices, dtype=np.float32).reshape(-1, 3)
        first, self.count = self.count, self.count + len(vertices)
        self.vertices.append(vertices)
        return first

    def add(self, vertices: Array, faces: Array, material: str) -> None:
        """Append a piece whose faces all have the same number of corners."""
        first = self._place(vertices)
        self.faces.append((np.asarray(faces, dtype=np.int32) + first, material))

    def grid(self, points: Array, material: str, wrap: bool = False) -> None:
        """Append a grid of points with shape (rows, columns, 3)."""
        self.add(points, grid_faces(points.shape[0], points.shape[1], wrap), material)

    def printed(
        self, points: Array, picture: Array, materials: Sequence[str], wrap: bool = False
    ) -> None:
        """Append a grid of points whose faces take the material that a picture of indices says.

        `picture` has one entry a face: (rows - 1, columns - 1), or (rows - 1, columns) if `wrap`.
        """
        faces = grid_faces(points.shape[0], points.shape[1], wrap).astype(np.int32)
        first = self._place(points)
        for number, material in enumerate(materials):
            chosen = faces[picture.ravel() == number]
            if len(chosen):
                self.faces.append((chosen + first, material))

    def box(self, low: Sequence[float], high: Sequence[float], material: str) -> None:
        """Append an axis-aligned box."""
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
        faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        low_, high_ = np.asarray(low, float), np.asarray(high, float)
        self.add(low_ + corners * (high_ - low_), np.array(faces), material)

    def lathe(
        self,
        profile: Array,
        centre: Sequence[float],
        material: str,
        axis: int = 1,
        segments: int = 24,
        angle: float = 0.0,
    ) -> None:
        """Turn a profile of (radius, position along the axis) round an axis."""
        turn = np.linspace(0, 2 * np.pi, segments, endpoint=False) + angle
        points = np.zeros((len(profile), segments, 3))
        others = [i for i in range(3) if i != axis]
        points[..., others[0]] = profile[:, :1] * np.cos(turn)
        points[..., others[1]] = profile[:, :1] * np.sin(turn)
        points[..., axis] = profile[:, 1:2]
        self.grid(points + np.asarray(centre), material, wrap=True)

    def scatter(self, other: Shape, places: Array, sizes: Array, turns: Array) -> None:
        """Append copies of another shape, each moved, scaled (per axis) and turned about z."""
        cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
        v = np.concatenate(other.vertices)[None] * sizes[:, None, :]
        x, y, z = v[..., 0], v[..., 1], v[..., 2]
        spun = np.stack((x * cos - y * sin, x * sin + y * cos, z), -1)
        first = self._place(spun + places[:, None, :])
        steps = np.arange(len(places), dtype=np.int32)[:, None, None] * other.count
        for faces, material in other.faces:
            copies = (faces[None] + steps).reshape(-1, faces.shape[1])
            self.faces.append((copies + first, material))


def quad(corners: Sequence[Sequence[float]], rows: int = 5, columns: int = 7) -> Array:
    """A grid between four corners: start bottom, end bottom, end top, start top."""
    a, b, c, d = (np.asarray(corner, float) for corner in corners)
    u = np.linspace(0, 1, columns)[None, :, None]
    v = np.linspace(0, 1, rows)[:, None, None]
    return (a * (1 - u) + b * u) * (1 - v) + (d * (1 - u) + c * u) * v
