"""What stands in rooms: windows, shelves and what is on them, plants, a lamp."""

from __future__ import annotations

import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.environments.plants import broadleaf, palm
from packshot_pocket.scenes.environments.terrain import Random, tint
from packshot_pocket.scenes.environments.tops import FLOOR, PAINTS, WALLS, WOODS, Materials, pick
from packshot_pocket.scenes.materials import principled
from packshot_pocket.scenes.shape import Shape


def window(
    shape: Shape, rng: Random, low: tuple[float, float], high: tuple[float, float], y: float
) -> None:
    """A bright pane with a frame and bars before a wall at y, between two corners (x, z)."""
    (left, bottom), (right, top) = low, high
    bar = 0.035 * (right - left)
    shape.box((left, y - 0.10, bottom), (right, y, top), "pane")
    for x in np.linspace(left, right, rng.integers(2, 4) + 1):
        shape.box((x - bar, y - 0.3, bottom - bar), (x + bar, y, top + bar), "frame")
    for z in (bottom, bottom + rng.choice((0.5, 0.65)) * (top - bottom), top):
        shape.box((left, y - 0.28, z - bar), (right, y, z + bar), "frame")
    shape.box((left - 2 * bar, y - 1.0, bottom - 2 * bar), (right + 2 * bar, y, bottom), "frame")


def curtain(shape: Shape, rng: Random, left: float, right: float, y: float, top: float) -> None:
    x = np.linspace(left, right, 40)
    folds = y - 0.9 + 0.35 * np.sin(x * rng.uniform(3.0, 4.5))
    rows = [np.stack((x, folds, np.full(40, z)), -1) for z in (FLOOR, top)]
    shape.grid(np.stack(rows), "curtain")


def vase(shape: Shape, rng: Random, place: tuple[float, float, float], size: float) -> None:
    """A jar, a vase or a bowl, turned."""
    profiles = (
        [(0.001, 0), (0.5, 0), (0.52, 0.9), (0.45, 1.0), (0.5, 1.02), (0.5, 1.25), (0.001, 1.25)],
        [(0.001, 0), (0.3, 0), (0.55, 0.5), (0.25, 1.1), (0.32, 1.3), (0.2, 1.3), (0.2, 1.0)],
        [(0.001, 0), (0.3, 0), (0.75, 0.5), (0.7, 0.5), (0.001, 0.15)],
        [(0.001, 0), (0.4, 0), (0.4, 1.6), (0.36, 1.6), (0.001, 1.5)],
    )
    profile = np.array(profiles[rng.integers(len(profiles))]) * size
    shape.lathe(profile, place, f"ware{rng.integers(4)}", axis=2, segments=16)


def books(shape: Shape, rng: Random, left: float, right: float, y: float, z: float) -> None:
    x = left
    while x < right:
        wide, tall = rng.uniform(0.25, 0.6), rng.uniform(1.8, 2.8)
        shape.box((x, y - 1.8, z), (x + wide * 0.93, y, z + tall), f"ware{rng.integers(4)}")
        x += wide


def shelf(shape: Shape, rng: Random, left: float, right: float, y: float, z: float) -> None:
    """A board on a wall at y, with wares or books."""
    shape.box((left, y - 2.2, z - 0.3), (right, y, z), "shelf")
    x = left + 0.8
    while x < right - 1:
        if rng.random() < 0.35:
            end = min(right - 0.5, x + rng.uniform(1.5, 4))
            books(shape, rng, x, end, y - 0.3, z)
            x = end + 0.8
        else:
            vase(shape, rng, (x, y - 1.1, z), rng.uniform(0.9, 1.5))
            x += rng.uniform(1.6, 3.2)


def house_plant(shape: Shape, rng: Random, place: tuple[float, float, float], tall: float) -> None:
    """A pot with a small tree."""
    pot = np.array([(0.001, 0), (0.10, 0), (0.14, 0.24), (0.001, 0.22)]) * tall
    shape.lathe(pot, place, "pot", axis=2, segments=16)
    tree = palm(rng) if rng.random() < 0.4 else broadleaf(rng)
    where = np.array([place]) + np.array([0, 0, 0.2 * tall])
    shape.scatter(tree, where, np.array([[0.7, 0.7, 1.0]]) * tall, rng.uniform(0, 6, 1))


def floor_lamp(shape: Shape, x: float, y: float) -> None:
    shape.box((x - 0.12, y - 0.12, FLOOR), (x + 0.12, y + 0.12, 6.5), "dark")
    shade = np.array([(2.2, 6.0), (1.4, 9.0)])
    shape.lathe(shade, (x, y, 0), "lampshade", axis=2, segments=20)


def furnishings(rng: Random, night: bool) -> Materials:
    """The materials that both places share."""
    day: Colour = (0.80, 0.88, 1.0) if rng.random() < 0.6 else (1.0, 0.93, 0.82)
    made = {
        "pane": principled(
            "pane", (0.02, 0.03, 0.05), 0.1, glow=0.02 if night else 2.2, glow_rgb=day
        ),
        "frame": principled("frame", pick(rng, (PAINTS[0], PAINTS[0], WOODS[2])), 0.5),
        "wall": principled("wall", pick(rng, WALLS), 0.9),
        "curtain": principled("curtain", pick(rng, (*WALLS, *PAINTS)), 0.9),
        "shelf": principled("shelf", pick(rng, (*WOODS, PAINTS[0])), 0.5),
        "door": principled("door", pick(rng, (PAINTS[0], *PAINTS, *WOODS)), 0.5),
        "pot": principled("pot", pick(rng, ((0.45, 0.16, 0.07), *PAINTS)), 0.6),
        "bark": principled("bark", (0.10, 0.06, 0.035), 0.9),
        "leaf": principled("leaf", tint(rng, (0.05, 0.16, 0.04)), 0.5),
        "leaf2": principled("leaf2", tint(rng, (0.09, 0.22, 0.06)), 0.5),
        "dark": principled("dark", (0.02, 0.02, 0.022), 0.35),
        "steel": principled("steel", (0.55, 0.56, 0.57), 0.3, 1.0),
        "lampshade": principled(
            "lampshade", (0.8, 0.74, 0.62), 0.9, glow=1.2, glow_rgb=(1, 0.8, 0.5)
        ),
    }
    wares = {f"ware{k}": pick(rng, (*PAINTS, *WALLS, *WOODS)) for k in range(4)}
    return made | {name: principled(name, rgb, 0.4) for name, rgb in wares.items()}
