"""Table tops and counters, and the colours of rooms."""

from __future__ import annotations

import bpy
import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.environments.terrain import Random, tint
from packshot_pocket.scenes.materials import ground, mixed, principled, scaled
from packshot_pocket.scenes.shape import Shape

Materials = dict[str, bpy.types.Material]
NEAR = -16.0  # where tops begin: behind every camera
FLOOR = -9.0
WOODS: tuple[Colour, ...] = (
    (0.40, 0.23, 0.10),
    (0.55, 0.37, 0.20),
    (0.19, 0.09, 0.042),
    (0.62, 0.50, 0.36),
    (0.30, 0.25, 0.20),
)
_STONES: tuple[Colour, ...] = ((0.62, 0.60, 0.57), (0.30, 0.30, 0.31), (0.06, 0.06, 0.065))
WALLS: tuple[Colour, ...] = (
    (0.74, 0.72, 0.68),
    (0.62, 0.56, 0.46),
    (0.38, 0.46, 0.50),
    (0.36, 0.42, 0.33),
    (0.50, 0.33, 0.27),
    (0.20, 0.24, 0.30),
)
PAINTS: tuple[Colour, ...] = (
    (0.72, 0.71, 0.68),
    (0.14, 0.24, 0.30),
    (0.22, 0.33, 0.24),
    (0.55, 0.14, 0.09),
    (0.70, 0.50, 0.15),
    (0.10, 0.11, 0.12),
)


def pick(rng: Random, colours: tuple[Colour, ...]) -> Colour:
    """One of some colours, a little off."""
    return tint(rng, colours[rng.integers(len(colours))])


def wood(name: str, rgb: Colour, lengthwise: bool, rough: float) -> bpy.types.Material:
    """Grain along y, or along x."""
    stretch = (2.2, 0.14, 1) if lengthwise else (0.14, 2.2, 1)
    shades = [scaled(rgb, 0.66), rgb, scaled(rgb, 1.22, 0.8)]
    return ground(name, shades, 2.2, bump=0.03, rough=rough, stretch=stretch)


def boards(shape: Shape, rng: Random, far: float, half: float) -> Materials:
    """Boards with dark gaps; their shades differ."""
    lengthwise = rng.random() < 0.4
    rgb, rough = pick(rng, WOODS), rng.uniform(0.3, 0.6)
    shape.box((-half, NEAR, -0.6), (half, far, -0.02), "gap")
    pitch = rng.uniform(0.8, 3.0)
    ends = (-half, half) if lengthwise else (NEAR, far)
    for start in np.arange(*ends, pitch):
        low, high = start + 0.03, min(start + pitch, ends[1])
        board = f"board{rng.integers(3)}"
        if lengthwise:
            shape.box((low, NEAR, -0.5), (high, far, 0), board)
        else:
            shape.box((-half, low, -0.5), (half, high, 0), board)
    shades = {f"board{k}": scaled(rgb, 0.85 + 0.15 * k, 0.8) for k in range(3)}
    made = {name: wood(name, shade, lengthwise, rough) for name, shade in shades.items()}
    return made | {"gap": principled("gap", scaled(rgb, 0.25), 0.8)}


def slab(shape: Shape, rng: Random, far: float, half: float) -> Materials:
    """One piece: painted white, dark or in a colour."""
    shape.box((-half, NEAR, -0.5), (half, far, 0), "top")
    rgb = pick(rng, ((0.74, 0.73, 0.71), (0.74, 0.73, 0.71), (0.05, 0.05, 0.055), *PAINTS))
    return {"top": principled("top", rgb, rng.uniform(0.25, 0.6))}


def stone(shape: Shape, rng: Random, far: float, half: float) -> Materials:
    """One piece of mottled stone."""
    shape.box((-half, NEAR, -0.5), (half, far, 0), "top")
    rgb = pick(rng, _STONES)
    shades = [scaled(rgb, 0.72), rgb, mixed(rgb, (0.8, 0.78, 0.75), 0.22)]
    return {"top": ground("top", shades, rng.choice((1.6, 3.0, 7.0)), rough=rng.uniform(0.2, 0.4))}


def cloth(shape: Shape, rng: Random, far: float, half: float) -> Materials:
    """A plain, striped or checked cloth; a check is the mean of two stripes that cross."""
    step = rng.uniform(0.35, 0.8)
    rows, columns = round((far - NEAR) / step), round(2 * half / step)
    x, y = np.linspace(-half, half, columns + 1), np.linspace(NEAR, far, rows + 1)
    points = np.stack(np.broadcast_arrays(x[None], y[:, None], np.zeros((1, 1))), -1)
    across, down = np.meshgrid(np.arange(columns) % 2, np.arange(rows) % 2)
    pattern = rng.integers(4)
    where = (across * 0, across * 0, across * 2, across + down)[pattern]
    shape.printed(points, where, ("cloth0", "cloth1", "cloth2"))
    first = pick(rng, ((0.74, 0.72, 0.68), (0.55, 0.50, 0.42)))
    second = pick(rng, PAINTS)
    if pattern == 0:
        first = second
    shades = (first, mixed(first, second, 0.5), second)
    return {f"cloth{k}": principled(f"cloth{k}", rgb, 0.9) for k, rgb in enumerate(shades)}


def steel(shape: Shape, rng: Random, far: float, half: float) -> Materials:
    """Brushed steel."""
    shape.box((-half, NEAR, -0.5), (half, far, 0), "top")
    return {"top": principled("top", (0.5, 0.51, 0.52), rng.uniform(0.35, 0.5), 1.0)}
