"""A table in a room, at about 8 cm a unit, and a photo studio."""

from __future__ import annotations

import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.environments.furniture import (
    curtain,
    floor_lamp,
    furnishings,
    house_plant,
    shelf,
    window,
)
from packshot_pocket.scenes.environments.lamps import area
from packshot_pocket.scenes.environments.terrain import Random, flat, tint
from packshot_pocket.scenes.environments.tops import (
    FLOOR,
    NEAR,
    WOODS,
    boards,
    cloth,
    pick,
    slab,
    stone,
    wood,
)
from packshot_pocket.scenes.materials import principled
from packshot_pocket.scenes.mesh import build
from packshot_pocket.scenes.shape import Shape


def table_top(rng: Random, night: bool) -> None:
    """A table in a room, the room's far wall behind it, light from a window at one side."""
    shape, materials = Shape(), furnishings(rng, night)
    far, half, wall = rng.uniform(7, 13), rng.uniform(9, 22), rng.uniform(24, 36)
    tops = (boards, slab, stone, cloth)
    top = tops[rng.choice(4, p=(0.42, 0.22, 0.14, 0.22))]
    materials |= top(shape, rng, far, half)
    flat("floor", shape, NEAR, wall, FLOOR)
    materials["floor"] = wood("floor", pick(rng, WOODS), False, 0.5)
    shape.box((-90, wall, FLOOR), (90, wall + 1, 40), "wall")
    shape.box((-90, wall - 0.3, FLOOR), (90, wall, FLOOR + 1.5), "frame")
    side = rng.choice((-1, 1))
    _room(shape, rng, wall, side)
    build(shape, "room", materials)
    warm: Colour = (1, 0.86, 0.68) if night or rng.random() < 0.3 else (0.97, 0.98, 1)
    dim = 0.7 if night else 1.0
    area(
        (side * rng.uniform(5, 7), rng.uniform(-4, 2), rng.uniform(4, 6.5)),
        (0, 0, 0.5),
        4,
        dim * rng.uniform(520, 700),
        warm,
    )
    area((-side * 7, -4, 6), (0, 0, 0.5), 5, dim * rng.uniform(120, 240))
    area((side * 12, 10, 22), (0, wall, 3), 8, dim * rng.uniform(5000, 9000), warm)


def _room(shape: Shape, rng: Random, wall: float, side: int) -> None:
    """What stands along the far wall: a window at one side, other things at the other."""
    middle, wide = side * rng.uniform(4, 13), rng.uniform(5, 8)
    low, high = rng.uniform(-2, 2), rng.uniform(13, 18)
    if rng.random() < 0.8:
        window(shape, rng, (middle - wide, low), (middle + wide, high), wall)
        if rng.random() < 0.6:
            curtain(shape, rng, middle - wide - 2.5, middle - wide + 0.8, wall, high + 2)
            curtain(shape, rng, middle + wide - 0.8, middle + wide + 2.5, wall, high + 2)
    other = -side * rng.uniform(5, 10)
    for z in (3.0, 7.5, 12.0)[: rng.integers(0, 4)]:
        shelf(shape, rng, other - 5, other + 5, wall, z)
    if rng.random() < 0.5:
        house_plant(shape, rng, (other + 8 * side, wall - 4, FLOOR), rng.uniform(13, 18))
    if rng.random() < 0.35:
        floor_lamp(shape, -side * rng.uniform(9, 14), wall - 4)
    if rng.random() < 0.5:  # a sofa
        left = rng.uniform(-14, 2)
        shape.box((left, wall - 9, FLOOR), (left + 16, wall - 3, -4), "door")
        shape.box((left, wall - 4, -4), (left + 16, wall - 2.5, 1.5), "door")


def studio(rng: Random, night: bool) -> None:
    shape = Shape()
    bend = np.linspace(0, np.pi / 2, 12)
    back, radius = rng.uniform(6, 9), 3.0
    y = np.concatenate(([-40], back + radius * np.sin(bend), [back + radius]))
    z = np.concatenate(([0], radius * (1 - np.cos(bend)), [40]))
    line = np.stack((np.zeros_like(y), y, z), -1)
    shape.grid(np.stack((line - np.array([60, 0, 0]), line + np.array([60, 0, 0]))), "paper")
    papers = (
        (0.72, 0.72, 0.72),
        (0.42, 0.42, 0.43),
        (0.20, 0.20, 0.21),
        (0.80, 0.78, 0.74),
        (0.28, 0.42, 0.55),
        (0.62, 0.50, 0.40),
        (0.38, 0.50, 0.42),
    )
    rgb = papers[rng.choice(len(papers), p=(0.28, 0.24, 0.12, 0.14, 0.08, 0.08, 0.06))]
    build(shape, "studio", {"paper": principled("paper", tint(rng, rgb, 0.06), 0.6)}, 60)
    side = rng.choice((-1, 1))
    area((side * 5, -5, 6), (0, 0, 0.6), 5, rng.uniform(650, 850))
    area((-side * 6, -1, 4), (0, 0, 0.6), 4, rng.uniform(200, 350))
    area((0, 1.5, 7.5), (0, 0, 0), 6, rng.uniform(350, 550))
