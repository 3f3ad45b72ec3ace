"""A city street, along it or across."""

from __future__ import annotations

import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.environments.plants import broadleaf, plant
from packshot_pocket.scenes.environments.terrain import Random, flat, tint
from packshot_pocket.scenes.materials import ground, principled, scaled
from packshot_pocket.scenes.mesh import build
from packshot_pocket.scenes.shape import Shape

FACADES: tuple[Colour, ...] = (
    (0.42, 0.15, 0.10),
    (0.55, 0.48, 0.38),
    (0.36, 0.37, 0.40),
    (0.62, 0.60, 0.56),
    (0.50, 0.34, 0.20),
    (0.24, 0.28, 0.34),
    (0.64, 0.52, 0.30),
)


def _facade(shape: Shape, rng: Random, width: float, tall: float, wall: str) -> None:
    """A house front at y = 0 from x = 0 to `width`, looking along -y."""
    shape.box((0, 0, 0), (width, 10, tall), wall)
    shape.box((-0.05, -0.25, tall - 0.5), (width + 0.05, 0.5, tall), "cornice")
    shop = rng.random() < 0.7
    if shop:
        low, high = 0.5, 2.7
        for x in np.arange(0.5, width - 2.0, 3.0):
            shape.box((x, -0.04, low), (min(x + 2.5, width - 0.3), 0.1, high), "shop")
        if rng.random() < 0.6:
            colour = rng.choice(("awning0", "awning1"))
            shape.box((0.3, -1.0, 2.9), (width - 0.3, 0, 3.1), colour)
        else:
            shape.box((0, -0.1, 3.0), (width, 0, 3.5), "cornice")
    pitch, storey = rng.uniform(1.9, 2.6), rng.uniform(2.8, 3.3)
    wide, high = pitch * rng.uniform(0.45, 0.7), storey * rng.uniform(0.5, 0.65)
    for z in np.arange(4.2 if shop else 1.0, tall - high - 0.6, storey):
        for x in np.arange(pitch * 0.3, width - wide * 1.1, pitch):
            glass = "lit" if rng.random() < 0.4 else "dark"
            shape.box((x - 0.1, -0.03, z - 0.1), (x + wide + 0.1, 0.1, z + high + 0.1), "frame")
            shape.box((x, -0.05, z), (x + wide, 0.1, z + high), glass)


def street(rng: Random, night: bool) -> None:
    shape = Shape()
    flat("asphalt", shape)
    along = rng.random() < 0.45  # the street leads away from the camera
    kerb = 4.2 if along else rng.uniform(3.2, 4.4)
    width = 2.6
    if along:
        _street_away(shape, rng, kerb, width)
    else:
        _street_across(shape, rng, kerb, width)
    dull = tuple(tint(rng, FACADES[i]) for i in rng.permutation(len(FACADES))[:4])
    awnings = (tint(rng, (0.5, 0.04, 0.03)), tint(rng, (0.03, 0.20, 0.12)))
    lit = (1.0, 0.72, 0.35)
    build(
        shape,
        "street",
        {
            **{
                f"wall{i}": ground(f"wall{i}", (scaled(rgb, 0.8), rgb), 0.8)
                for i, rgb in enumerate(dull)
            },
            **{f"awning{i}": principled(f"awning{i}", rgb) for i, rgb in enumerate(awnings)},
            "asphalt": ground(
                "asphalt", ((0.055, 0.056, 0.06), (0.095, 0.095, 0.10)), 2.2, 0.15, 0.8
            ),
            "walk": ground("walk", ((0.30, 0.29, 0.28), (0.38, 0.37, 0.36)), 1.2),
            "paint": principled("line", (0.80, 0.80, 0.78)),
            "cornice": principled("cornice", tint(rng, (0.55, 0.52, 0.48))),
            "frame": principled("frame", (0.62, 0.61, 0.58)),
            "dark": principled("dark", (0.03, 0.045, 0.06), 0.1),
            "lit": principled(
                "lit",
                lit if night else (0.05, 0.075, 0.10),
                0.1,
                glow=1.1 if night else 0,
                glow_rgb=lit,
            ),
            "shop": principled(
                "shop", (0.06, 0.08, 0.09), 0.08, glow=1.5 if night else 0, glow_rgb=(1, 0.82, 0.55)
            ),
            "pole": principled("pole", (0.03, 0.03, 0.03), 0.4),
            "lampglass": principled(
                "lampglass", (0.8, 0.8, 0.75), glow=12 if night else 0, glow_rgb=(1, 0.85, 0.6)
            ),
            "leaf": principled("leaf", tint(rng, (0.05, 0.14, 0.03))),
            "leaf2": principled("leaf2", tint(rng, (0.07, 0.19, 0.04))),
            "bark": principled("bark", (0.08, 0.055, 0.035)),
        },
        30,
    )


def _dashes(shape: Shape, x: float | None, y: float | None) -> None:
    """White dashes along the street, at a fixed x or a fixed y."""
    for start in np.arange(-30, 70, 5.0):
        low, high = (
            ((x - 0.08, start, 0), (x + 0.08, start + 2.6, 0.012))
            if x is not None
            else ((start, (y or 0) - 0.08, 0), (start + 2.6, (y or 0) + 0.08, 0.012))
        )
        shape.box(low, high, "paint")


def _lamp_post(shape: Shape, x: float, y: float) -> None:
    shape.box((x - 0.06, y - 0.06, 0), (x + 0.06, y + 0.06, 4.6), "pole")
    shape.box((x - 0.2, y - 0.2, 4.6), (x + 0.2, y + 0.2, 5.0), "lampglass")


def _street_across(shape: Shape, rng: Random, kerb: float, width: float) -> None:
    shape.box((-120, kerb, 0), (120, kerb + 30, 0.14), "walk")
    _dashes(shape, None, -rng.uniform(1.6, 2.6))
    shape.box((-120, kerb - 0.4, 0), (120, kerb - 0.28, 0.012), "paint")
    x = -26 - rng.uniform(0, 6)
    while x < 26:
        wide, tall = rng.uniform(6, 11), rng.uniform(7.5, 19)
        house = Shape()
        _facade(house, rng, wide, tall, f"wall{rng.integers(4)}")
        place = np.array([[x, kerb + width, 0.1]])
        shape.scatter(house, place, np.ones((1, 3)), np.zeros(1))
        x += wide + (rng.uniform(1.5, 4) if rng.random() < 0.2 else 0)
    start = rng.uniform(-9, -3)
    green = rng.random() < 0.5
    for step in range(3):
        _lamp_post(shape, start + 8 * step, kerb + 0.6)
        if green:
            place = np.array([[start + 4 + 8 * step, kerb + 1.0]])
            plant(shape, broadleaf(rng), rng, place, (3.6, 5))


def _street_away(shape: Shape, rng: Random, kerb: float, width: float) -> None:
    for side in (-1, 1):
        low, high = sorted((side * kerb, side * (kerb + 40)))
        shape.box((low, -30, 0), (high, 140, 0.14), "walk")
        y = 2.0 - rng.uniform(0, 5)
        while y < 75:
            wide, tall = rng.uniform(6, 11), rng.uniform(8, 22)
            house = Shape()
            _facade(house, rng, wide, tall, f"wall{rng.integers(4)}")
            x, turn = side * (kerb + width), -np.pi / 2 * side
            place = np.array([[x, y if side < 0 else y + wide, 0.1]])
            turn = np.pi / 2 if side < 0 else -np.pi / 2
            shape.scatter(house, place, np.ones((1, 3)), np.array([turn]))
            y += wide + (rng.uniform(2, 4) if rng.random() < 0.2 else 0)
        for step in range(5):
            _lamp_post(shape, side * (kerb + 0.5), 5 + 10.0 * step)
    _dashes(shape, rng.choice((-2.4, 2.4)), None)
    x = -24.0
    while x < 24:
        wide, house = rng.uniform(7, 12), Shape()
        _facade(house, rng, wide, rng.uniform(14, 40), f"wall{rng.integers(4)}")
        shape.scatter(house, np.array([[x, 78, 0]]), np.ones((1, 3)), np.zeros(1))
        x += wide
