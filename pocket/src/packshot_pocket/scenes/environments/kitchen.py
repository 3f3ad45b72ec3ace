"""A kitchen counter. One unit is about 8 cm."""

from __future__ import annotations

import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.environments.furniture import (
    furnishings,
    house_plant,
    shelf,
    vase,
    window,
)
from packshot_pocket.scenes.environments.lamps import area
from packshot_pocket.scenes.environments.plants import ball
from packshot_pocket.scenes.environments.terrain import Random
from packshot_pocket.scenes.environments.tops import (
    PAINTS,
    WALLS,
    Materials,
    boards,
    pick,
    slab,
    steel,
    stone,
)
from packshot_pocket.scenes.materials import principled, scaled
from packshot_pocket.scenes.mesh import build
from packshot_pocket.scenes.shape import Shape


def kitchen(rng: Random, night: bool) -> None:
    """A counter before a wall, plain or tiled, with kitchen things along it."""
    shape, materials = Shape(), furnishings(rng, night)
    wall = rng.uniform(6.3, 9)  # no nearer: sink and hob reach 4.7 out from it
    tops = (boards, slab, stone, steel)
    top = tops[rng.choice(4, p=(0.30, 0.22, 0.36, 0.12))]
    materials |= top(shape, rng, wall, 30)
    shape.box((-40, wall, -1), (40, wall + 1, 40), "wall")
    if rng.random() < 0.7:
        materials |= _tiles(shape, rng, wall)
    side = rng.choice((-1, 1))
    windowed = rng.random() < 0.5
    if windowed:
        middle, wide = side * rng.uniform(2, 6), rng.uniform(2.5, 4)
        low = rng.uniform(2, 3.5)
        window(shape, rng, (middle - wide, low), (middle + wide, low + 8), wall - 0.06)
    _high(shape, rng, wall, None if not windowed else -side)
    _counter_things(shape, rng, wall)
    build(shape, "kitchen", materials)
    warm: Colour = (1, 0.88, 0.72) if night or rng.random() < 0.4 else (1, 0.98, 0.95)
    dim = 0.7 if night else 1.0
    area((0, -1.5, 9), (0, 0, 0), 5, dim * rng.uniform(520, 700), warm)
    area(
        (side * 7, rng.uniform(-4, 1), 5),
        (0, 0, 0.5),
        4,
        dim * rng.uniform(340, 600),
        (0.93, 0.97, 1),
    )
    area((0, -2, 12), (0, wall, 3), 6, dim * rng.uniform(600, 1000), warm)


def _tiles(shape: Shape, rng: Random, wall: float) -> Materials:
    """Tiles over the wall, square or laid like bricks, in three close shades."""
    wide = rng.uniform(1.2, 2.2)
    tall = wide * rng.choice((0.5, 1.0))
    rows = np.arange(0, 14, tall)
    for k, z in enumerate(rows):
        start = -16 - (wide / 2 if tall < wide and k % 2 else 0)
        x = np.arange(start, 16, wide)
        for shade in range(3):
            chosen = x[rng.integers(0, 3, len(x)) == shade] if shade else x
            tile = Shape()
            out = 0.05 + 0.002 * shade
            tile.box((0.05, -out, 0.05), (wide, 0, tall), f"tile{shade}")
            if len(chosen):
                places = np.stack((chosen, np.full(len(chosen), wall), np.full(len(chosen), z)), -1)
                shape.scatter(tile, places, np.ones_like(places), np.zeros(len(places)))
    rgb = pick(rng, (PAINTS[0], PAINTS[0], *PAINTS, *WALLS))
    gloss = rng.uniform(0.12, 0.4)
    shades = {f"tile{k}": scaled(rgb, 0.88 + 0.12 * k, 0.85) for k in range(3)}
    return {name: principled(name, rgb, gloss) for name, rgb in shades.items()}


def _high(shape: Shape, rng: Random, wall: float, side: int | None) -> None:
    """Cupboards, or a shelf or two, on both sides or on one."""
    left, right = {None: (-18, 18), -1: (-18, -3), 1: (3, 18)}[side]
    kind = rng.choice(("cupboards", "shelf", "shelves", "bare"), p=(0.4, 0.25, 0.2, 0.15))
    if kind == "cupboards":
        low = rng.uniform(5.0, 6.5)
        pitch = rng.uniform(3.5, 5)
        shape.box((left, wall - 2.6, low), (right, wall, low + 8), "dark")
        for x in np.arange(left, right - 0.5, pitch):
            shape.box((x + 0.06, wall - 2.9, low), (x + pitch - 0.06, wall - 2.6, low + 8), "door")
            bar = x + pitch - 0.6
            shape.box((bar, wall - 3.15, low + 0.4), (bar + 0.14, wall - 2.9, low + 1.8), "steel")
    elif kind != "bare":
        for z in (4.6, 8.6)[: 2 if kind == "shelves" else 1]:
            shelf(shape, rng, left + rng.uniform(0, 4), right - rng.uniform(0, 4), wall, z)


def _counter_things(shape: Shape, rng: Random, wall: float) -> None:
    """What stands along the wall, each thing in its own stretch of it."""
    kinds = (_jars, _board, _hob, _tap, _knives, _fruit, _pot_plant)
    slots = np.array([-7.5, -4.5, -1.8, 1.8, 4.5, 7.5])
    chosen = rng.permutation(len(kinds))[: rng.integers(3, 7)]
    for x, kind in zip(rng.permutation(slots), chosen, strict=False):
        kinds[kind](shape, rng, float(x + rng.uniform(-0.5, 0.5)), wall - 1.3)


def _jars(shape: Shape, rng: Random, x: float, y: float) -> None:
    for k in range(rng.integers(2, 4)):
        vase(shape, rng, (x + (k - 1) * 1.5, y, 0), rng.uniform(0.9, 1.5))


def _board(shape: Shape, rng: Random, x: float, y: float) -> None:
    """A chopping board that leans on the wall."""
    wide, tall = rng.uniform(1.1, 1.6), rng.uniform(3, 4.4)
    shape.box((x - wide, y + 0.9, 0), (x + wide, y + 1.15, tall), "shelf")
    shape.box((x - 0.2, y + 0.9, tall), (x + 0.2, y + 1.15, tall + 0.9), "shelf")


def _hob(shape: Shape, rng: Random, x: float, y: float) -> None:
    """A dark glass plate with a pot or a pan on it."""
    shape.box((x - 3, y - 3.2, 0), (x + 3, y + 0.4, 0.08), "dark")
    radius, tall = rng.uniform(1.0, 1.4), rng.uniform(0.6, 1.9)
    pot = np.array([(0.001, 0), (1, 0), (1, 1), (1.05, 1), (0.93, 1), (0.9, 0.8), (0.001, 0.8)])
    place, material = (x, y - 1.2, 0.08), rng.choice(("steel", "steel", "dark", "ware0"))
    shape.lathe(pot * (radius, tall), place, material, axis=2)
    high = 0.08 + 0.75 * tall
    shape.box((x + radius, y - 1.35, high), (x + radius + 1.2, y - 1.05, high + 0.2), "dark")


def _tap(shape: Shape, rng: Random, x: float, y: float) -> None:
    """A tap bent over a sink."""
    shape.box((x - 2.4, y - 3.4, 0), (x + 2.4, y - 0.2, 0.06), "steel")
    shape.box((x - 2.1, y - 3.1, 0.06), (x + 2.1, y - 0.5, 0.07), "dark")
    bend = np.linspace(0, np.pi, 9)
    high = rng.uniform(2.4, 3.4)
    line_y = np.concatenate(([0], 0.8 * (np.cos(bend) - 1), [-1.6])) + y
    line_z = np.concatenate(([0], high + 0.8 * np.sin(bend), [high - 0.5]))
    turn = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    # Round enough: the pipe's sections stay level on the way up and upright on the bend.
    lean = np.concatenate(([0], bend, [np.pi]))[:, None]
    out = 0.16 * np.sin(turn)
    points = np.stack(
        (
            np.broadcast_to(x + 0.16 * np.cos(turn), (len(line_y), 10)),
            line_y[:, None] + out * np.cos(lean),
            line_z[:, None] + out * np.sin(lean),
        ),
        -1,
    )
    shape.grid(points, "steel", wrap=True)
    shape.box((x + 0.15, y - 0.1, 0.7), (x + 0.9, y + 0.1, 0.9), "steel")


def _knives(shape: Shape, rng: Random, x: float, y: float) -> None:
    """A block with handles."""
    shape.box((x - 0.7, y - 0.6, 0), (x + 0.7, y + 0.6, 2.2), "shelf")
    for k in range(4):
        left = x - 0.55 + 0.3 * k
        shape.box((left, y - 0.1, 2.2), (left + 0.2, y + 0.2, rng.uniform(2.9, 3.5)), "dark")


def _fruit(shape: Shape, rng: Random, x: float, y: float) -> None:
    """A bowl of balls."""
    bowl = np.array([(0.001, 0), (0.6, 0), (1.5, 0.9), (1.42, 0.9), (0.001, 0.3)])
    shape.lathe(bowl, (x, y - 0.3, 0), "ware1", axis=2)
    material = rng.choice(("ware0", "ware2", "leaf2"))
    for turn in np.arange(5) * 2 * np.pi / 5:
        fruit = ball(rng, 0.0) * 0.5
        centre = np.array([x + 0.7 * np.cos(turn), y - 0.3 + 0.7 * np.sin(turn), 0.95])
        shape.grid(fruit + centre, material, wrap=True)


def _pot_plant(shape: Shape, rng: Random, x: float, y: float) -> None:
    house_plant(shape, rng, (x, y, 0), rng.uniform(2.8, 4.2))
