"""Settings under the sky, but for the street."""

from __future__ import annotations

import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.environments.plants import ball, broadleaf, conifer, palm, plant, spread
from packshot_pocket.scenes.environments.terrain import Random, emerge, flat, fractal, terrain, tint
from packshot_pocket.scenes.materials import ground, layered, principled, scaled
from packshot_pocket.scenes.mesh import build
from packshot_pocket.scenes.shape import Shape


def mountain(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 96
    ridge = 1 - np.abs(fractal(rng, size, 1.9)) * 2.4
    detail = fractal(rng, size, 1.2)
    near, far, half, tall = 45, 170, 190, rng.uniform(26, 44)
    across = np.linspace(-1, 1, size)[None]
    peaks = np.zeros((1, size))
    for _ in range(rng.integers(2, 5)):
        middle, wide = rng.uniform(-0.55, 0.55), rng.uniform(0.16, 0.34)
        sharp = np.clip(1 - np.abs(across - middle) / wide, 0, 1)
        peaks = np.maximum(peaks, sharp * rng.uniform(0.6, 1.0))
    rise = emerge(size, 0.02, 0.9)
    height = rise * tall * np.clip(0.85 * peaks + 0.25 * ridge + 0.22 * detail, 0.06, None) - 0.8
    terrain(shape, height, near, far, half, "rock", 1.2)
    meadowy = rng.random() < 0.5
    low, high = (
        ((0.09, 0.12, 0.03), (0.22, 0.22, 0.10))
        if meadowy
        else ((0.15, 0.13, 0.11), (0.34, 0.31, 0.27))
    )
    flat("ground", shape)
    stones = Shape()
    stones.grid(ball(rng, 0.25), "stone", wrap=True)
    places = np.concatenate((spread(rng, 60, 4.5, 30), rng.uniform((-9, -1), (9, 5), (10, 2))))
    places = places[np.hypot(*places.T) > 4.2]
    sizes = rng.uniform(0.08, 0.55, (len(places), 1)) * (1.2, 1, 0.7)
    shape.scatter(stones, np.pad(places, ((0, 0), (0, 1))), sizes, rng.uniform(0, 6, len(places)))
    if rng.random() < 0.5:
        plant(shape, conifer(rng), rng, spread(rng, 50, 20, 44, 1.0), (2.5, 5))
    line = tall * rng.uniform(0.28, 0.48)
    rock = tint(rng, (0.20, 0.19, 0.195))
    build(
        shape,
        "mountain",
        {
            "rock": layered(
                "rock",
                (scaled(rock, 0.5), rock),
                (0.85, 0.87, 0.9),
                0.15,
                (0.30, 0.50),
                (line * 0.7, line),
            ),
            "ground": ground("ground", (tint(rng, low), tint(rng, high)), 0.9, 0.5),
            "stone": ground("stone", (rock, tint(rng, (0.3, 0.28, 0.26))), 3),
            "leaf": principled("leaf", tint(rng, (0.015, 0.05, 0.02))),
            "bark": principled("bark", (0.06, 0.04, 0.025)),
        },
        25,
    )


def desert(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 96
    flat("sand", shape)
    rise = emerge(size, 0.0, 0.5)
    if rng.random() < 0.6:  # dunes: asymmetric ridges
        field = fractal(rng, size, 2.4)
        x = np.linspace(-1, 1, size)[None]
        y = np.linspace(0, 1, size)[:, None]
        phase = 9 * y + 2.4 * x * rng.choice((-1, 1)) + 3.2 * field + rng.uniform(0, 6)
        saw = np.abs((phase / np.pi) % 2 - 1)
        height = rise * (saw**1.5 * rng.uniform(6, 11) + 5 * y + 2 * field) - 0.4
        terrain(shape, height, 12, 110, 130, "sand")
    else:  # mesas: terraces with steep sides
        field = fractal(rng, size, 2.0) + 0.12 * fractal(rng, size, 1.2)
        step = np.clip((field - 0.10) * 14, 0, 1) * 0.7 + np.clip((field - 0.3) * 14, 0, 1) * 0.5
        skirt = np.clip((field + 0.15) * 1.2, 0, 0.35)
        height = rise * rng.uniform(24, 34) * (step * 0.8 + skirt) - 0.5
        terrain(shape, height, 30, 170, 200, "mesa", 1.3)
    if rng.random() < 0.5:
        _cacti(shape, rng)
    sand = tint(rng, (0.62, 0.40, 0.20))
    pale = tint(rng, (0.74, 0.53, 0.30))
    build(
        shape,
        "desert",
        {
            "sand": ground("sand", (sand, pale), 1.4, 0.25, stretch=(0.35, 1.6, 1)),
            "mesa": layered(
                "mesa", ((0.26, 0.07, 0.028), (0.50, 0.19, 0.08)), pale, 0.25, (0.8, 0.95)
            ),
            "cactus": principled("cactus", (0.05, 0.13, 0.045)),
        },
        40,
    )


def _cacti(shape: Shape, rng: Random) -> None:
    for x, y in spread(rng, int(rng.integers(3, 8)), 6, 22, 0.6):
        tall = rng.uniform(1.6, 3.2)
        stem = np.array([(0.17, 0), (0.2, 0.5), (0.18, 0.9), (0.10, 0.98), (0.01, 1)])
        shape.lathe(stem * (1, tall), (x, y, 0), "cactus", axis=2, segments=9)
        for side in (-1, 1):
            z = tall * rng.uniform(0.35, 0.55)
            shape.box(
                (min(x, x + side * 0.5), y - 0.09, z - 0.09),
                (max(x, x + side * 0.5), y + 0.09, z + 0.09),
                "cactus",
            )
            shape.lathe(stem * (0.6, tall * 0.4), (x + side * 0.5, y, z - 0.05), "cactus", 2, 9)


def beach(rng: Random, night: bool) -> None:
    shape = Shape()
    shore = rng.uniform(5.5, 9)
    flat("sand", shape, far=shore + 3)
    flat("sea", shape, near=shore, far=1500, z=0.02)
    x = np.linspace(-60, 60, 120)
    for k, (back, wide) in enumerate(((0.0, 0.5), (2.2, 0.35), (5.5, 0.35), (11, 0.5))):
        wave = 0.45 * np.sin(x * rng.uniform(0.25, 0.5) + rng.uniform(0, 6)) + rng.normal(
            0, 0.06, 120
        )
        gone = wide * np.clip(np.sin(x * 0.21 + k * 2.1) + (1.3 if k == 0 else 0.35), 0.02, 1)
        edge = np.stack((x, shore + back + wave, np.full(120, 0.05)), -1)
        shape.grid(np.stack((edge, edge + np.stack((x * 0, gone, x * 0 + 0.02), -1))), "foam")
    if rng.random() < 0.65:
        palms = [palm(rng) for _ in range(2)]
        for tree in palms:
            side = rng.choice((-1, 1), 2)
            places = np.stack(
                (side * rng.uniform(2.5, 7.5, 2), rng.uniform(3.6, shore - 0.3, 2)), -1
            )
            plant(shape, tree, rng, places, (4.2, 6.5))
    if rng.random() < 0.5:
        size = 40
        hills = emerge(size, 0, 0.5) * np.clip(fractal(rng, size, 2.2) * 60, -2, 40) - 1
        terrain(shape, hills, 260, 420, 330, "island", 1)
    sand = tint(rng, (0.70, 0.55, 0.36))
    sea = tint(rng, (0.012, 0.16, 0.24), 0.25)
    build(
        shape,
        "beach",
        {
            "sand": ground("sand", (sand, tint(rng, (0.80, 0.68, 0.48))), 1.6, 0.25),
            "sea": ground("sea", (scaled(sea, 0.6), sea), 0.5, 0.5, 0.12, (0.35, 1.3, 1)),
            "foam": principled("foam", (0.85, 0.87, 0.88)),
            "island": ground("island", ((0.07, 0.13, 0.09), (0.12, 0.17, 0.12)), 0.05),
            "leaf": principled("leaf", tint(rng, (0.035, 0.13, 0.02))),
            "bark": principled("bark", (0.16, 0.10, 0.06)),
        },
        40,
    )


def forest(rng: Random, night: bool) -> None:
    shape = Shape()
    flat("ground", shape)
    firs = rng.random() < 0.65
    for _ in range(3):
        tree = conifer(rng) if firs else broadleaf(rng)
        count = 46 if firs else 34
        tall = (6, 12) if firs else (6, 10)
        plant(shape, tree, rng, spread(rng, count, 5.5 if firs else 6.5, 34, 0.55), tall)
    sides = np.stack((rng.choice((-1, 1), 6) * rng.uniform(6, 9, 6), rng.uniform(2, 6, 6)), -1)
    plant(shape, conifer(rng) if firs else broadleaf(rng), rng, sides, (5, 9))
    bushes = Shape()
    bushes.grid(ball(rng, 0.3), "leaf2", wrap=True)
    places = spread(rng, 60, 4.6, 14)
    shape.scatter(
        bushes,
        np.pad(places, ((0, 0), (0, 1))),
        rng.uniform(0.12, 0.45, (60, 1)) * np.ones(3),
        rng.uniform(0, 6, 60),
    )
    size = 40
    terrain(
        shape,
        np.full((size, size), 0) + np.linspace(0, 1, size)[:, None] ** 0.5 * 12,
        34,
        40,
        80,
        "leaf",
        1,
    )
    moss, soil = tint(rng, (0.085, 0.16, 0.035)), tint(rng, (0.17, 0.11, 0.06))
    leaf = tint(rng, (0.045, 0.17, 0.050) if firs else (0.075, 0.22, 0.035))
    build(
        shape,
        "forest",
        {
            "ground": ground("ground", (soil, moss), 0.7, 0.5),
            "leaf": ground("leaf", (scaled(leaf, 0.55), leaf), 2.5),
            "leaf2": ground("leaf2", (leaf, scaled(leaf, 1.7, most=0.5)), 2.5),
            "bark": principled("bark", (0.10, 0.065, 0.04)),
        },
        20,
    )


def snow(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 64
    flat("snow", shape)
    hills = emerge(size, 0.0, 0.7) * (8 + 9 * fractal(rng, size, 2.3)) * rng.uniform(0.6, 1.8)
    terrain(shape, hills - 0.3, 16, 110, 120, "snow")
    for _ in range(2):
        plant(
            shape,
            conifer(rng, True),
            rng,
            spread(rng, int(rng.integers(8, 22)), 6, 30, 0.6),
            (3, 8),
        )
    if rng.random() < 0.5:
        ridge = emerge(size, 0, 0.6) * (1 - np.abs(fractal(rng, size, 1.8)) * 2) * 60
        terrain(shape, ridge, 130, 220, 260, "peak")
    drift = Shape()
    drift.grid(ball(rng, 0.08), "snow", wrap=True)
    places = spread(rng, 25, 4.8, 16)
    shape.scatter(
        drift,
        np.pad(places, ((0, 0), (0, 1))),
        rng.uniform(0.4, 1.5, (25, 1)) * (1.4, 1, 0.28),
        rng.uniform(0, 6, 25),
    )
    build(
        shape,
        "snow",
        {
            "snow": ground("snow", ((0.76, 0.80, 0.86), (0.86, 0.88, 0.90)), 0.8, 0.3, 0.7),
            "peak": layered(
                "peak", ((0.10, 0.11, 0.14), (0.22, 0.23, 0.26)), (0.82, 0.85, 0.9), 0.1, (0.3, 0.5)
            ),
            "leaf": principled("leaf", tint(rng, (0.014, 0.05, 0.028))),
            "bark": principled("bark", (0.06, 0.04, 0.03)),
        },
        30,
    )


FLOWERS: tuple[Colour, ...] = (
    (0.85, 0.70, 0.03),
    (0.85, 0.85, 0.82),
    (0.75, 0.03, 0.04),
    (0.55, 0.12, 0.60),
    (0.85, 0.25, 0.45),
)


def meadow(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 64
    flat("grass", shape)
    hills = emerge(size, 0.0, 0.6) * (6 + 7 * fractal(rng, size, 2.5)) * rng.uniform(0.5, 1.3)
    terrain(shape, hills - 0.3, 22, 130, 150, "hill")
    if rng.random() < 0.75:
        plant(shape, broadleaf(rng), rng, spread(rng, int(rng.integers(2, 9)), 14, 45), (4, 7))
    blade = Shape()
    fan = [(-0.05, 0, 0), (0.05, 0, 0), (0.01, 0.02, 1), (-0.01, 0.02, 1)]
    blade.add(np.array(fan), np.array([[0, 1, 2, 3]]), "grass2")
    turf = rng.uniform((-9, -4.5), (9, 16), (2200, 2))
    turf = turf[(np.abs(turf[:, 0]) > 2.3) | (turf[:, 1] > 2.3) | (turf[:, 1] < -2.3)]
    n = len(turf)
    shape.scatter(
        blade,
        np.pad(turf, ((0, 0), (0, 1))),
        rng.uniform(0.10, 0.26, (n, 1)) * (1.5, 1, 1),
        rng.uniform(-0.8, 0.8, n),
    )
    _flowers(shape, rng)
    grass = tint(rng, (0.10, 0.24, 0.025), 0.18)
    light = (grass[0] * 1.6, grass[1] * 1.4, grass[2] * 1.4)
    build(
        shape,
        "meadow",
        {
            "grass": ground("grass", (scaled(grass, 0.7), grass), 1.6, 0.5),
            "grass2": principled("grass2", light),
            "hill": ground("hill", (scaled(grass, 0.75), light), 0.12),
            "leaf": principled("leaf", tint(rng, (0.035, 0.12, 0.02))),
            "leaf2": principled("leaf2", tint(rng, (0.05, 0.16, 0.03))),
            "bark": principled("bark", (0.08, 0.055, 0.035)),
            **{f"flower{i}": principled(f"flower{i}", rgb) for i, rgb in enumerate(FLOWERS)},
        },
        30,
    )


def _flowers(shape: Shape, rng: Random) -> None:
    for kind in rng.permutation(len(FLOWERS))[: rng.integers(2, 4)]:
        head = Shape()
        ring = np.linspace(0, 2 * np.pi, 7)[:-1]
        rim = np.stack((np.cos(ring), np.sin(ring), np.zeros(6)), -1)
        head.grid(np.stack((rim, rim * (0.4, 0.4, 0) + (0, 0, 0.7))), f"flower{kind}", wrap=True)
        places = rng.uniform((-11, -4.5), (11, 18), (320, 2))
        places = places[(np.abs(places[:, 0]) > 2.4) | (np.abs(places[:, 1]) > 2.4)]
        n = len(places)
        where = np.concatenate((places, rng.uniform(0.12, 0.3, (n, 1))), 1)
        shape.scatter(head, where, rng.uniform(0.05, 0.10, (n, 1)) * np.ones(3), np.zeros(n))
