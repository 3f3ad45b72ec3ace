"""Trees and how they are spread over the ground."""

from __future__ import annotations

import numpy as np

from packshot_pocket.scenes.environments.terrain import Random
from packshot_pocket.scenes.shape import Array, Shape


def conifer(rng: Random, snow: bool = False) -> Shape:
    """A fir of unit height: ragged cones on a trunk."""
    tree = Shape()
    trunk = np.array([(0.022, 0.0), (0.018, 0.3)])
    tree.lathe(trunk, (0, 0, 0), "bark", axis=2, segments=6)
    tiers, segments = 6, 14
    for k in range(tiers):
        t = k / tiers
        low, high = 0.10 + 0.82 * t, min(1.0, 0.10 + 0.82 * t + 0.30 * (1 - 0.45 * t))
        radius = 0.21 * (1 - t) ** 0.85 + 0.03
        turn = np.linspace(0, 2 * np.pi, segments, endpoint=False) + rng.uniform(0, 6)
        ragged = radius * (
            1 + 0.22 * np.where(np.arange(segments) % 2, 1, -1) + rng.uniform(-0.12, 0.12, segments)
        )
        rings = []
        for share, z in ((0.02, high), (0.45, low + 0.45 * (high - low)), (1.0, low)):
            r = ragged * share if share > 0.1 else np.full(segments, radius * share)
            dip = -0.02 * share * (np.arange(segments) % 2)
            rings.append(np.stack((r * np.cos(turn), r * np.sin(turn), z + dip), -1))
        points = np.array(rings)
        tree.grid(points[:2], "snow" if snow and rng.random() < 0.75 else "leaf", wrap=True)
        tree.grid(points[1:], "snow" if snow and rng.random() < 0.45 else "leaf", wrap=True)
    return tree


def ball(rng: Random, bumps: float) -> Array:
    """A lumpy ball as a grid of points (rows, columns, 3)."""
    rows, columns = 9, 14
    v, u = np.meshgrid(
        np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns, False), indexing="ij"
    )
    r = 1 + bumps * rng.uniform(-1, 1, (rows, columns))
    r[0], r[-1] = 1, 1
    return np.stack((r * np.sin(v) * np.cos(u), r * np.sin(v) * np.sin(u), r * np.cos(v)), -1)


def broadleaf(rng: Random) -> Shape:
    """A leafy tree of about unit height."""
    tree = Shape()
    tree.lathe(np.array([(0.035, 0), (0.025, 0.5)]), (0, 0, 0), "bark", axis=2, segments=7)
    for _ in range(7):
        size = rng.uniform(0.14, 0.24)
        centre = (*rng.uniform(-0.2, 0.2, 2), rng.uniform(0.45, 0.82))
        leaf = "leaf" if rng.random() < 0.6 else "leaf2"
        tree.grid(ball(rng, 0.16) * size * (1.1, 1.1, 0.9) + centre, leaf, wrap=True)
    return tree


def palm(rng: Random) -> Shape:
    """A palm of unit height with a leaning trunk."""
    tree = Shape()
    t = np.linspace(0, 1, 9)
    lean = rng.uniform(0.08, 0.2)
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    r = 0.028 - 0.012 * t
    trunk = np.stack(
        (
            lean * t[:, None] ** 2 + r[:, None] * np.cos(turn),
            r[:, None] * np.sin(turn),
            np.repeat(t[:, None], 8, 1) * 0.92,
        ),
        -1,
    )
    tree.grid(trunk, "bark", wrap=True)
    for k in range(11):
        angle = 2 * np.pi * k / 11 + rng.uniform(-0.2, 0.2)
        length, droop = rng.uniform(0.32, 0.42), rng.uniform(0.35, 0.75)
        s = np.linspace(0, 1, 7)[:, None]
        wide = 0.055 * np.sin(np.pi * (0.12 + 0.85 * s)) * np.array([-1, 0, 1])
        out, up = length * s * np.ones(3), length * (0.45 * s - (0.45 + droop) * s**2)
        up = up - np.abs(np.array([-1, 0, 1])) * 0.03
        x = lean + out * np.cos(angle) - wide * np.sin(angle)
        y = out * np.sin(angle) + wide * np.cos(angle)
        tree.grid(np.stack((x, y, 0.92 + up), -1), "leaf")
    return tree


def plant(
    shape: Shape,
    tree: Shape,
    rng: Random,
    places: Array,
    tall: tuple[float, float],
    z: float | Array = 0.0,
) -> None:
    """Copies of a tree at places (n, 2)."""
    n = len(places)
    sizes = rng.uniform(*tall, n)[:, None] * np.stack(
        (rng.uniform(0.85, 1.25, n), rng.uniform(0.85, 1.25, n), np.ones(n)), -1
    )
    where = np.concatenate((places, np.broadcast_to(z, n)[:, None]), 1)
    shape.scatter(tree, where, sizes, rng.uniform(0, 2 * np.pi, n))


def spread(rng: Random, count: int, near: float, far: float, slope: float = 0.75) -> Array:
    """Places behind the car, denser nearby, within the view."""
    y = near + (far - near) * rng.random(count) ** 1.3
    x = rng.uniform(-1, 1, count) * (6 + slope * y)
    return np.stack((x, y), -1)
