"""A small software renderer: surfaces to depth, shadows, and light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from packshot_pocket.pretrain.shots.meshes import Array, Surface

FAR = np.float32(1e9)


@njit(cache=True, fastmath=True)
def _normals(points: Any) -> Any:
    rows, columns, _ = points.shape
    normals = np.zeros_like(points)
    for i in range(rows - 1):
        for j in range(columns - 1):
            a, b, c, d = points[i, j], points[i + 1, j], points[i + 1, j + 1], points[i, j + 1]
            u, v = c - a, d - b
            n0 = u[1] * v[2] - u[2] * v[1]
            n1 = u[2] * v[0] - u[0] * v[2]
            n2 = u[0] * v[1] - u[1] * v[0]
            for p, q in ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)):
                normals[p, q, 0] += n0
                normals[p, q, 1] += n1
                normals[p, q, 2] += n2
    return normals


@njit(cache=True, fastmath=True)
def _draw(
    seen: Any, normals: Any, part: int, near: float, depth: Any, parts: Any, facing: Any, uv: Any
) -> None:
    """Draw a grid [rows, columns, 3] of (pixel x, pixel y, distance) into the buffers."""
    rows, columns, _ = seen.shape
    height, width = depth.shape
    for i in range(rows - 1):
        for j in range(columns - 1):
            for half in range(2):
                if half == 0:
                    i0, j0, i1, j1, i2, j2 = i, j, i + 1, j, i + 1, j + 1
                else:
                    i0, j0, i1, j1, i2, j2 = i, j, i + 1, j + 1, i, j + 1
                x0, y0, w0 = seen[i0, j0, 0], seen[i0, j0, 1], seen[i0, j0, 2]
                x1, y1, w1 = seen[i1, j1, 0], seen[i1, j1, 1], seen[i1, j1, 2]
                x2, y2, w2 = seen[i2, j2, 0], seen[i2, j2, 1], seen[i2, j2, 2]
                if w0 < near or w1 < near or w2 < near:
                    continue
                area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
                if abs(area) < 1e-9:
                    continue
                left = max(0, int(np.floor(min(x0, x1, x2))))
                right = min(width - 1, int(np.ceil(max(x0, x1, x2))))
                top = max(0, int(np.floor(min(y0, y1, y2))))
                bottom = min(height - 1, int(np.ceil(max(y0, y1, y2))))
                inverse = 1 / area
                for y in range(top, bottom + 1):
                    for x in range(left, right + 1):
                        px, py = x + 0.5, y + 0.5
                        b1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                        b2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                        b0 = 1 - b1 - b2
                        if b0 < 0 or b1 < 0 or b2 < 0:
                            continue
                        q0, q1, q2 = b0 / w0, b1 / w1, b2 / w2
                        distance = 1 / (q0 + q1 + q2)
                        if distance >= depth[y, x]:
                            continue
                        depth[y, x] = distance
                        if parts.shape[0] == 1:
                            continue
                        parts[y, x] = part
                        q0, q1, q2 = q0 * distance, q1 * distance, q2 * distance
                        for k in range(3):
                            facing[y, x, k] = (
                                q0 * normals[i0, j0, k]
                                + q1 * normals[i1, j1, k]
                                + q2 * normals[i2, j2, k]
                            )
                        uv[y, x, 0] = (q0 * j0 + q1 * j1 + q2 * j2) / (columns - 1)
                        uv[y, x, 1] = (q0 * i0 + q1 * i1 + q2 * i2) / (rows - 1)


class Camera:
    """A pinhole camera: looks from `eye` at `target`, `field` is the half side over the distance."""

    def __init__(self, eye: Array, target: Array, field: float, roll: float, side: int) -> None:
        forward = target - eye
        self.eye, self.side, self.field = eye.astype(np.float32), side, field
        forward = forward / np.linalg.norm(forward)
        up = np.array([0, 1, 1e-3])
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        c, s = np.cos(roll), np.sin(roll)
        right, up = c * right + s * up, c * up - s * right
        self.axes = np.stack([right, up, forward]).astype(np.float32)

    def project(self, points: Array) -> Array:
        """Points [..., 3] as pixels and distance [..., 3]."""
        local = (points - self.eye) @ self.axes.T
        distance = local[..., 2]
        scale = self.side / 2 / self.field / np.where(np.abs(distance) < 1e-4, 1e-4, distance)
        x = self.side / 2 + local[..., 0] * scale
        y = self.side / 2 - local[..., 1] * scale
        return np.stack([x, y, distance], axis=-1).astype(np.float32)

    def rays(self) -> Array:
        """For each pixel the way to what is one distance off, [side, side, 3]."""
        places = ((np.arange(self.side, dtype=np.float32) + 0.5) / (self.side / 2) - 1) * self.field
        right, up, forward = self.axes
        return forward + places[None, :, None] * right - places[:, None, None] * up


def draw(camera: Camera, surfaces: Sequence[Surface]) -> tuple[Array, Array, Array, Array]:
    """Distance [s, s], number of the surface (-1 where there is none), normals, and uv in [0, 1]."""
    side = camera.side
    depth = np.full((side, side), FAR, np.float32)
    parts = np.full((side, side), -1, np.int32)
    facing = np.zeros((side, side, 3), np.float32)
    uv = np.zeros((side, side, 2), np.float32)
    for number, surface in enumerate(surfaces):
        normals = _normals(surface.points)
        _draw(camera.project(surface.points), normals, number, 0.05, depth, parts, facing, uv)
    return depth, parts, facing, uv


class ShadowMap:
    """Depth along a light's direction, of surfaces within `reach` of the origin."""

    def __init__(self, light: Array, surfaces: Sequence[Surface], reach: float, side: int) -> None:
        right = np.cross(light, [0.1, 0, 1.0])
        right /= np.linalg.norm(right)
        self.axes = np.stack([right, np.cross(right, light), light]).astype(np.float32)
        self.reach, self.depth = reach, np.full((side, side), FAR, np.float32)
        none = np.zeros((1, 1), np.int32)
        empty = np.zeros((1, 1, 3), np.float32)
        for surface in surfaces:
            local = surface.points @ self.axes.T
            seen = (local / reach * 0.5 + 0.5) * side
            seen[..., 2] = 100 - local[..., 2]
            _draw(seen.astype(np.float32), empty, 0, 0.05, self.depth, none, empty, empty)


@njit(cache=True, fastmath=True)
def _lookup(bank: Any, number: int, u: float, v: float, out: Any) -> None:
    side = bank.shape[1]
    x, y = (u % 1.0) * side, (v % 1.0) * side
    x0, y0 = int(x), int(y)
    fx, fy = x - x0, y - y0
    x0, y0 = x0 % side, y0 % side
    x1, y1 = (x0 + 1) % side, (y0 + 1) % side
    for k in range(3):
        top = bank[number, y0, x0, k] * (1 - fx) + bank[number, y0, x1, k] * fx
        bottom = bank[number, y1, x0, k] * (1 - fx) + bank[number, y1, x1, k] * fx
        value = (top * (1 - fy) + bottom * fy) / 255
        out[k] = value * value


@njit(cache=True, fastmath=True)
def _around(world: Any, level: int, x: float, y: float, z: float, out: Any) -> None:
    rows, columns = world.shape[1], world.shape[2]
    column = int((np.arctan2(x, z) / (2 * np.pi) + 0.5) * columns) % columns
    row = min(rows - 1, max(0, int(np.arccos(min(1.0, max(-1.0, y))) / np.pi * rows)))
    for k in range(3):
        out[k] = world[level, row, column, k]


@njit(cache=True, fastmath=True)
def light_up(
    depth: Any,
    parts: Any,
    facing: Any,
    uv: Any,
    eye: Any,
    rays: Any,
    coats: Any,
    bank: Any,
    world: Any,
    sun: Any,
    sun_colour: Any,
    axes: Any,
    reach: float,
    shadow: Any,
    soft: int,
    spread: float,
    closed: Any,
) -> Any:
    """The linear light of each pixel, [side, side, 3].

    Args:
        coats: a row a surface: texture, repeats 2, tint 3, gloss, metal, sharp, uneven, relief.
        world: light from around, [3 levels of blur, rows, columns, 3].
        sun: the direction to it; `axes`, `reach`, `shadow` as in `ShadowMap`, `soft` and `spread` how
            many texels on each side are looked at, and how far apart.
        closed: how far the sky is hidden above the ground, a map of the ground as `shadow`.
    """
    side = depth.shape[0]
    out = np.zeros((side, side, 3), np.float32)
    albedo, sky, mirror = np.zeros(3), np.zeros(3), np.zeros(3)
    size = shadow.shape[0]
    for i in range(side):
        for j in range(side):
            part = parts[i, j]
            if part < 0:
                continue
            ray = rays[i, j]
            point = eye + depth[i, j] * ray
            n = facing[i, j]
            length = np.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-9
            nx, ny, nz = n[0] / length, n[1] / length, n[2] / length
            rl = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
            vx, vy, vz = -ray[0] / rl, -ray[1] / rl, -ray[2] / rl
            facing_us = nx * vx + ny * vy + nz * vz
            if facing_us < 0:
                nx, ny, nz, facing_us = -nx, -ny, -nz, -facing_us
            coat = coats[part]
            u, v = uv[i, j, 0] * coat[1], uv[i, j, 1] * coat[2]
            _lookup(bank, int(coat[0]), u, v, albedo)
            if coat[9] > 0:  # unevenness: the normal leans along the relief's slope
                relief = int(coat[10])
                _lookup(bank, relief, u, v, sky)
                _lookup(bank, relief, u + 0.012, v, mirror)
                across = (mirror[1] - sky[1]) * coat[9]
                _lookup(bank, relief, u, v + 0.012, mirror)
                along = (mirror[1] - sky[1]) * coat[9]
                tx, tz = nz, -nx
                nx, ny, nz = nx + across * tx, ny + along, nz + across * tz
                length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                nx, ny, nz = nx / length, ny / length, nz / length
            # How much of the sun arrives.
            lx = (point @ axes[0] / reach * 0.5 + 0.5) * size
            ly = (point @ axes[1] / reach * 0.5 + 0.5) * size
            lz = 100 - point @ axes[2] - 0.03
            lit, count = 0.0, 0
            for a in range(-soft, soft + 1):
                for b in range(-soft, soft + 1):
                    x, y = int(lx + spread * a), int(ly + spread * b)
                    count += 1
                    if x < 0 or y < 0 or x >= size or y >= size or shadow[y, x] >= lz:
                        lit += 1
            direct = max(0.0, nx * sun[0] + ny * sun[1] + nz * sun[2]) * lit / count
            # How much of the sky: less near the ground below things.
            _around(world, 2, nx, ny, nz, sky)
            gx = int((point[0] / reach * 0.5 + 0.5) * size)
            gy = int((point[2] / reach * 0.5 + 0.5) * size)
            hidden = 0.0
            if 0 <= gx < size and 0 <= gy < size:
                hidden = closed[gy, gx] * max(0.0, 1 - point[1] * 2.5) * (0.4 + 0.6 * max(0.0, ny))
            dot = 2 * facing_us
            rx, ry, rz = dot * nx - vx, dot * ny - vy, dot * nz - vz
            _around(
                world, 0 if coat[8] > 0.66 else (1 if coat[8] > 0.33 else 2), rx, ry, rz, mirror
            )
            gloss = coat[6] + (1 - coat[6]) * coat[6] ** 0.3 * (1 - facing_us) ** 5
            toward = max(0.0, rx * sun[0] + ry * sun[1] + rz * sun[2])
            glint = toward ** (8 + 200 * coat[8] ** 2) * (1 + 12 * coat[8]) * lit / count
            for k in range(3):
                base = albedo[k] * coat[3 + k]
                diffuse = base * (sun_colour[k] * direct + sky[k] * (1 - hidden)) * (1 - coat[7])
                shine = (mirror[k] * (1 - 0.7 * hidden) + glint * sun_colour[k]) * gloss
                out[i, j, k] = diffuse + shine * (1 - coat[7] + coat[7] * base)
    return out
