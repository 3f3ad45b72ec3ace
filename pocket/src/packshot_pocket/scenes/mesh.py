"""Shapes handed to Blender in one go, and decals dropped on surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import radians

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from packshot_pocket.scenes.shape import Array, Shape, grid_faces


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
