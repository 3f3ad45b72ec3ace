"""Meshes as arrays, handed to Blender in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import radians
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

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

    def add(self, vertices: Array, faces: Array, material: str) -> None:
        """Append a piece whose faces all have the same number of corners."""
        vertices = np.asarray(vertices, dtype=np.float32).reshape(-1, 3)
        self.vertices.append(vertices)
        self.faces.append((np.asarray(faces, dtype=np.int32) + self.count, material))
        self.count += len(vertices)

    def grid(self, points: Array, material: str, wrap: bool = False) -> None:
        """Append a grid of points with shape (rows, columns, 3)."""
        self.add(points, grid_faces(points.shape[0], points.shape[1], wrap), material)

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
        first = 0
        for vertices, (faces, material) in zip(other.vertices, other.faces, strict=True):
            v = vertices[None] * sizes[:, None, :]
            spun = np.stack(
                (v[..., 0] * cos - v[..., 1] * sin, v[..., 0] * sin + v[..., 1] * cos, v[..., 2]),
                -1,
            )
            steps = np.arange(len(places))[:, None, None] * len(vertices)
            copies = (faces[None] - first + steps).reshape(-1, faces.shape[1])
            self.add(spun + places[:, None, :], copies, material)
            first += len(vertices)


def build(
    shape: Shape,
    name: str,
    materials: Mapping[str, bpy.types.Material],
    smooth_degrees: float = 40.0,
) -> bpy.types.Object:
    """Make a Blender object of a shape and put it into the scene."""
    used = sorted({material for _, material in shape.faces})
    mesh = bpy.data.meshes.new(name)
    vertices = np.concatenate(shape.vertices)
    sizes = np.concatenate([np.full(len(f), f.shape[1]) for f, _ in shape.faces])
    slots = np.concatenate([np.full(len(f), used.index(m)) for f, m in shape.faces])
    loops = np.concatenate([f.ravel() for f, _ in shape.faces])
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(len(loops))
    mesh.loops.foreach_set("vertex_index", loops)
    mesh.polygons.add(len(sizes))
    mesh.polygons.foreach_set("loop_start", np.concatenate(([0], np.cumsum(sizes)[:-1])))
    for material in used:
        mesh.materials.append(materials[material])
    mesh.polygons.foreach_set("material_index", slots)
    mesh.update(calc_edges=True)
    mesh.validate()
    if smooth_degrees:
        mesh.shade_smooth()
        mesh.set_sharp_from_angle(angle=radians(smooth_degrees))
    made = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(made)
    return made


def surface(points: Array) -> BVHTree:
    """A grid of points as something to drop decals on."""
    faces = grid_faces(points.shape[0], points.shape[1])
    return BVHTree.FromPolygons(points.reshape(-1, 3).tolist(), faces.tolist())


def decal(
    shape: Shape,
    target: BVHTree,
    points: Array,
    direction: Sequence[float],
    material: str,
    lift: float = 0.008,
) -> None:
    """Drop a grid of points along a direction onto a surface; what misses is left out."""
    ray = Vector(direction).normalized()
    flat = points.reshape(-1, 3)
    landed = np.zeros_like(flat)
    hit = np.zeros(len(flat), dtype=bool)
    for i, point in enumerate(flat):
        place, _, _, _ = target.ray_cast(Vector(point) - ray * 8, ray)
        if place is not None:
            hit[i] = True
            landed[i] = place - ray * lift
    faces = grid_faces(points.shape[0], points.shape[1])
    faces = faces[hit[faces].all(1)]
    if len(faces):
        shape.add(landed, faces, material)


def quad(corners: Sequence[Sequence[float]], rows: int = 5, columns: int = 7) -> Array:
    """A grid between four corners: start bottom, end bottom, end top, start top."""
    a, b, c, d = (np.asarray(corner, float) for corner in corners)
    u = np.linspace(0, 1, columns)[None, :, None]
    v = np.linspace(0, 1, rows)[:, None, None]
    return (a * (1 - u) + b * u) * (1 - v) + (d * (1 - u) + c * u) * v
