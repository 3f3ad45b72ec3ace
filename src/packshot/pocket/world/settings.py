"""Places and light. The camera looks along +y; the car stands at the origin on flat ground."""

from __future__ import annotations

from collections.abc import Callable
from math import radians

import bpy
import numpy as np

from packshot.pocket.world.materials import ground, layered, mixed, principled, scaled, sky
from packshot.pocket.world.mesh import Array, Shape, build
from packshot.pocket.world.spec import Colour, SceneSpec

Random = np.random.Generator


def _tint(rng: Random, rgb: Colour, amount: float = 0.12) -> Colour:
    gain = rng.uniform(1 - amount, 1 + amount) * rng.uniform(1 - amount / 2, 1 + amount / 2, 3)
    r, g, b = np.clip(np.asarray(rgb) * gain, 0, 0.9)
    return float(r), float(g), float(b)


def _fractal(rng: Random, size: int, roughness: float) -> Array:
    """Smooth noise in -1..1 on a square grid, by filtering white noise; larger is smoother."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency[None])
    radius[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(size, size))) / radius**roughness
    spectrum[0, 0] = 0
    field = np.real(np.fft.ifft2(spectrum))
    return field / np.abs(field).max()


def _terrain(
    shape: Shape,
    height: Array,
    near: float,
    far: float,
    half: float,
    material: str,
    power: float = 1.6,
) -> None:
    """A height field behind the car: rows from near to far, wider with distance."""
    rows, columns = height.shape
    y = near + (far - near) * np.linspace(0, 1, rows) ** power
    x = np.linspace(-1, 1, columns)
    spread = half * (0.35 + 0.65 * (y - near) / (far - near))
    points = np.stack((x[None] * spread[:, None], np.repeat(y[:, None], columns, 1), height), -1)
    shape.grid(points, material)


def _flat(material: str, shape: Shape, near: float = -60, far: float = 400, z: float = 0.0) -> None:
    corners = [(-400, near, z), (400, near, z), (400, far, z), (-400, far, z)]
    shape.add(np.array(corners), np.array([[0, 1, 2, 3]]), material)


def _emerge(size: int, start: float, full: float) -> Array:
    """0 at the near rows, 1 from `full` on: terrain rises smoothly out of flat ground."""
    rows = np.clip((np.linspace(0, 1, size) - start) / (full - start), 0, 1)
    return (rows * rows * (3 - 2 * rows))[:, None]


# --- plants -------------------------------------------------------------------------------------


def _conifer(rng: Random, snow: bool = False) -> Shape:
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


def _ball(rng: Random, bumps: float) -> Array:
    """A lumpy ball as a grid of points (rows, columns, 3)."""
    rows, columns = 9, 14
    v, u = np.meshgrid(
        np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns, False), indexing="ij"
    )
    r = 1 + bumps * rng.uniform(-1, 1, (rows, columns))
    r[0], r[-1] = 1, 1
    return np.stack((r * np.sin(v) * np.cos(u), r * np.sin(v) * np.sin(u), r * np.cos(v)), -1)


def _broadleaf(rng: Random) -> Shape:
    """A leafy tree of about unit height."""
    tree = Shape()
    tree.lathe(np.array([(0.035, 0), (0.025, 0.5)]), (0, 0, 0), "bark", axis=2, segments=7)
    for _ in range(7):
        size = rng.uniform(0.14, 0.24)
        centre = (*rng.uniform(-0.2, 0.2, 2), rng.uniform(0.45, 0.82))
        leaf = "leaf" if rng.random() < 0.6 else "leaf2"
        tree.grid(_ball(rng, 0.16) * size * (1.1, 1.1, 0.9) + centre, leaf, wrap=True)
    return tree


def _palm(rng: Random) -> Shape:
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


def _plant(
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


def _spread(rng: Random, count: int, near: float, far: float, slope: float = 0.75) -> Array:
    """Places behind the car, denser nearby, within the view."""
    y = near + (far - near) * rng.random(count) ** 1.3
    x = rng.uniform(-1, 1, count) * (6 + slope * y)
    return np.stack((x, y), -1)


# --- settings -----------------------------------------------------------------------------------


def _mountain(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 96
    ridge = 1 - np.abs(_fractal(rng, size, 1.9)) * 2.4
    detail = _fractal(rng, size, 1.2)
    near, far, half, tall = 45, 170, 190, rng.uniform(26, 44)
    across = np.linspace(-1, 1, size)[None]
    peaks = np.zeros((1, size))
    for _ in range(rng.integers(2, 5)):
        middle, wide = rng.uniform(-0.55, 0.55), rng.uniform(0.16, 0.34)
        sharp = np.clip(1 - np.abs(across - middle) / wide, 0, 1)
        peaks = np.maximum(peaks, sharp * rng.uniform(0.6, 1.0))
    rise = _emerge(size, 0.02, 0.9)
    height = rise * tall * np.clip(0.85 * peaks + 0.25 * ridge + 0.22 * detail, 0.06, None) - 0.8
    _terrain(shape, height, near, far, half, "rock", 1.2)
    meadowy = rng.random() < 0.5
    low, high = (
        ((0.09, 0.12, 0.03), (0.22, 0.22, 0.10))
        if meadowy
        else ((0.15, 0.13, 0.11), (0.34, 0.31, 0.27))
    )
    _flat("ground", shape)
    stones = Shape()
    stones.grid(_ball(rng, 0.25), "stone", wrap=True)
    places = np.concatenate((_spread(rng, 60, 4.5, 30), rng.uniform((-9, -1), (9, 5), (10, 2))))
    places = places[np.hypot(*places.T) > 4.2]
    sizes = rng.uniform(0.08, 0.55, (len(places), 1)) * (1.2, 1, 0.7)
    shape.scatter(stones, np.pad(places, ((0, 0), (0, 1))), sizes, rng.uniform(0, 6, len(places)))
    if rng.random() < 0.5:
        _plant(shape, _conifer(rng), rng, _spread(rng, 50, 20, 44, 1.0), (2.5, 5))
    line = tall * rng.uniform(0.28, 0.48)
    rock = _tint(rng, (0.20, 0.19, 0.195))
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
            "ground": ground("ground", (_tint(rng, low), _tint(rng, high)), 0.9, 0.5),
            "stone": ground("stone", (rock, _tint(rng, (0.3, 0.28, 0.26))), 3),
            "leaf": principled("leaf", _tint(rng, (0.015, 0.05, 0.02))),
            "bark": principled("bark", (0.06, 0.04, 0.025)),
        },
        25,
    )


def _desert(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 96
    _flat("sand", shape)
    rise = _emerge(size, 0.0, 0.5)
    if rng.random() < 0.6:  # dunes: asymmetric ridges
        field = _fractal(rng, size, 2.4)
        x = np.linspace(-1, 1, size)[None]
        y = np.linspace(0, 1, size)[:, None]
        phase = 9 * y + 2.4 * x * rng.choice((-1, 1)) + 3.2 * field + rng.uniform(0, 6)
        saw = np.abs((phase / np.pi) % 2 - 1)
        height = rise * (saw**1.5 * rng.uniform(6, 11) + 5 * y + 2 * field) - 0.4
        _terrain(shape, height, 12, 110, 130, "sand")
    else:  # mesas: terraces with steep sides
        field = _fractal(rng, size, 2.0) + 0.12 * _fractal(rng, size, 1.2)
        step = np.clip((field - 0.10) * 14, 0, 1) * 0.7 + np.clip((field - 0.3) * 14, 0, 1) * 0.5
        skirt = np.clip((field + 0.15) * 1.2, 0, 0.35)
        height = rise * rng.uniform(24, 34) * (step * 0.8 + skirt) - 0.5
        _terrain(shape, height, 30, 170, 200, "mesa", 1.3)
    if rng.random() < 0.5:
        _cacti(shape, rng)
    sand = _tint(rng, (0.62, 0.40, 0.20))
    pale = _tint(rng, (0.74, 0.53, 0.30))
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
    for x, y in _spread(rng, int(rng.integers(3, 8)), 6, 22, 0.6):
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


def _beach(rng: Random, night: bool) -> None:
    shape = Shape()
    shore = rng.uniform(5.5, 9)
    _flat("sand", shape, far=shore + 3)
    _flat("sea", shape, near=shore, far=1500, z=0.02)
    x = np.linspace(-60, 60, 120)
    for k, (back, wide) in enumerate(((0.0, 0.5), (2.2, 0.35), (5.5, 0.35), (11, 0.5))):
        wave = 0.45 * np.sin(x * rng.uniform(0.25, 0.5) + rng.uniform(0, 6)) + rng.normal(
            0, 0.06, 120
        )
        gone = wide * np.clip(np.sin(x * 0.21 + k * 2.1) + (1.3 if k == 0 else 0.35), 0.02, 1)
        edge = np.stack((x, shore + back + wave, np.full(120, 0.05)), -1)
        shape.grid(np.stack((edge, edge + np.stack((x * 0, gone, x * 0 + 0.02), -1))), "foam")
    if rng.random() < 0.65:
        palms = [_palm(rng) for _ in range(2)]
        for palm in palms:
            side = rng.choice((-1, 1), 2)
            places = np.stack(
                (side * rng.uniform(2.5, 7.5, 2), rng.uniform(3.6, shore - 0.3, 2)), -1
            )
            _plant(shape, palm, rng, places, (4.2, 6.5))
    if rng.random() < 0.5:
        size = 40
        hills = _emerge(size, 0, 0.5) * np.clip(_fractal(rng, size, 2.2) * 60, -2, 40) - 1
        _terrain(shape, hills, 260, 420, 330, "island", 1)
    sand = _tint(rng, (0.70, 0.55, 0.36))
    sea = _tint(rng, (0.012, 0.16, 0.24), 0.25)
    build(
        shape,
        "beach",
        {
            "sand": ground("sand", (sand, _tint(rng, (0.80, 0.68, 0.48))), 1.6, 0.25),
            "sea": ground("sea", (scaled(sea, 0.6), sea), 0.5, 0.5, 0.12, (0.35, 1.3, 1)),
            "foam": principled("foam", (0.85, 0.87, 0.88)),
            "island": ground("island", ((0.07, 0.13, 0.09), (0.12, 0.17, 0.12)), 0.05),
            "leaf": principled("leaf", _tint(rng, (0.035, 0.13, 0.02))),
            "bark": principled("bark", (0.16, 0.10, 0.06)),
        },
        40,
    )


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


def _street(rng: Random, night: bool) -> None:
    shape = Shape()
    _flat("asphalt", shape)
    along = rng.random() < 0.45  # the street leads away from the camera
    kerb = 4.2 if along else rng.uniform(3.2, 4.4)
    width = 2.6
    if along:
        _street_away(shape, rng, kerb, width)
    else:
        _street_across(shape, rng, kerb, width)
    dull = tuple(_tint(rng, FACADES[i]) for i in rng.permutation(len(FACADES))[:4])
    awnings = (_tint(rng, (0.5, 0.04, 0.03)), _tint(rng, (0.03, 0.20, 0.12)))
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
            "cornice": principled("cornice", _tint(rng, (0.55, 0.52, 0.48))),
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
            "leaf": principled("leaf", _tint(rng, (0.05, 0.14, 0.03))),
            "leaf2": principled("leaf2", _tint(rng, (0.07, 0.19, 0.04))),
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
            _plant(shape, _broadleaf(rng), rng, place, (3.6, 5))


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


def _forest(rng: Random, night: bool) -> None:
    shape = Shape()
    _flat("ground", shape)
    firs = rng.random() < 0.65
    for _ in range(3):
        tree = _conifer(rng) if firs else _broadleaf(rng)
        count = 46 if firs else 34
        tall = (6, 12) if firs else (6, 10)
        _plant(shape, tree, rng, _spread(rng, count, 5.5 if firs else 6.5, 34, 0.55), tall)
    sides = np.stack((rng.choice((-1, 1), 6) * rng.uniform(6, 9, 6), rng.uniform(2, 6, 6)), -1)
    _plant(shape, _conifer(rng) if firs else _broadleaf(rng), rng, sides, (5, 9))
    bushes = Shape()
    bushes.grid(_ball(rng, 0.3), "leaf2", wrap=True)
    places = _spread(rng, 60, 4.6, 14)
    shape.scatter(
        bushes,
        np.pad(places, ((0, 0), (0, 1))),
        rng.uniform(0.12, 0.45, (60, 1)) * np.ones(3),
        rng.uniform(0, 6, 60),
    )
    size = 40
    _terrain(
        shape,
        np.full((size, size), 0) + np.linspace(0, 1, size)[:, None] ** 0.5 * 12,
        34,
        40,
        80,
        "leaf",
        1,
    )
    moss, soil = _tint(rng, (0.085, 0.16, 0.035)), _tint(rng, (0.17, 0.11, 0.06))
    leaf = _tint(rng, (0.045, 0.17, 0.050) if firs else (0.075, 0.22, 0.035))
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


def _snow(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 64
    _flat("snow", shape)
    hills = _emerge(size, 0.0, 0.7) * (8 + 9 * _fractal(rng, size, 2.3)) * rng.uniform(0.6, 1.8)
    _terrain(shape, hills - 0.3, 16, 110, 120, "snow")
    for _ in range(2):
        _plant(
            shape,
            _conifer(rng, True),
            rng,
            _spread(rng, int(rng.integers(8, 22)), 6, 30, 0.6),
            (3, 8),
        )
    if rng.random() < 0.5:
        ridge = _emerge(size, 0, 0.6) * (1 - np.abs(_fractal(rng, size, 1.8)) * 2) * 60
        _terrain(shape, ridge, 130, 220, 260, "peak")
    drift = Shape()
    drift.grid(_ball(rng, 0.08), "snow", wrap=True)
    places = _spread(rng, 25, 4.8, 16)
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
            "leaf": principled("leaf", _tint(rng, (0.014, 0.05, 0.028))),
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


def _meadow(rng: Random, night: bool) -> None:
    shape = Shape()
    size = 64
    _flat("grass", shape)
    hills = _emerge(size, 0.0, 0.6) * (6 + 7 * _fractal(rng, size, 2.5)) * rng.uniform(0.5, 1.3)
    _terrain(shape, hills - 0.3, 22, 130, 150, "hill")
    if rng.random() < 0.75:
        _plant(shape, _broadleaf(rng), rng, _spread(rng, int(rng.integers(2, 9)), 14, 45), (4, 7))
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
    grass = _tint(rng, (0.10, 0.24, 0.025), 0.18)
    light = (grass[0] * 1.6, grass[1] * 1.4, grass[2] * 1.4)
    build(
        shape,
        "meadow",
        {
            "grass": ground("grass", (scaled(grass, 0.7), grass), 1.6, 0.5),
            "grass2": principled("grass2", light),
            "hill": ground("hill", (scaled(grass, 0.75), light), 0.12),
            "leaf": principled("leaf", _tint(rng, (0.035, 0.12, 0.02))),
            "leaf2": principled("leaf2", _tint(rng, (0.05, 0.16, 0.03))),
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


def _studio(rng: Random, night: bool) -> None:
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
    build(shape, "studio", {"paper": principled("paper", _tint(rng, rgb, 0.06), 0.6)}, 60)
    side = rng.choice((-1, 1))
    _area((side * 5, -5, 6), (0, 0, 0.6), 5, rng.uniform(650, 850))
    _area((-side * 6, -1, 4), (0, 0, 0.6), 4, rng.uniform(200, 350))
    _area((0, 1.5, 7.5), (0, 0, 0), 6, rng.uniform(350, 550))


SETTINGS: dict[str, Callable[[Random, bool], None]] = {
    "mountain": _mountain,
    "desert": _desert,
    "beach": _beach,
    "city street": _street,
    "forest": _forest,
    "snow": _snow,
    "meadow": _meadow,
    "studio": _studio,
}


# --- light --------------------------------------------------------------------------------------


def _lamp(kind: str, rgb: Colour, energy: float) -> bpy.types.Object:
    data = bpy.data.lights.new(kind.lower(), kind)
    data.color, data.energy = rgb, energy
    lamp = bpy.data.objects.new(kind.lower(), data)
    bpy.context.scene.collection.objects.link(lamp)
    return lamp


def _area(
    place: tuple[float, float, float],
    aim: tuple[float, float, float],
    size: float,
    energy: float,
    rgb: Colour = (1, 1, 1),
) -> None:
    """A soft square light at a place, turned to a point."""
    lamp = _lamp("AREA", rgb, energy)
    lamp.data.size = size
    lamp.location = place
    away = lamp.location.copy()
    away.xyz = tuple(p - a for p, a in zip(place, aim, strict=True))
    lamp.rotation_euler = away.to_track_quat("Z", "Y").to_euler()


def _sun(
    rng: Random, elevation: float, azimuth: float, rgb: Colour, energy: float, softness: float
) -> None:
    """Azimuth 0 shines from behind the camera; positive from its left."""
    sun = _lamp("SUN", rgb, energy)
    sun.data.angle = radians(softness)
    sun.rotation_euler = (radians(90 - elevation), 0, radians(-azimuth))


def _day(rng: Random) -> None:
    haze = _tint(rng, (0.52, 0.68, 0.86), 0.08)
    zenith = _tint(rng, (0.10, 0.28, 0.72), 0.15)
    sky(
        [
            (0.0, haze),
            (0.12, mixed(haze, zenith, 0.45)),
            (0.55, zenith),
        ],
        (0.88, 0.90, 0.93),
        rng.choice((0, 0.3, 0.6, 0.9)),
        rng.uniform(0.8, 1.0),
        rng.uniform(0, 50),
    )
    azimuth = rng.choice((-1, 1)) * rng.uniform(15, 75)
    _sun(rng, rng.uniform(30, 58), azimuth, (1, 0.95, 0.87), rng.uniform(3.2, 4.4), 1.0)


def _sunset(rng: Random) -> None:
    glow = _tint(rng, (0.95, 0.36, 0.09), 0.12)
    rose = _tint(rng, (0.72, 0.27, 0.28), 0.15)
    sky(
        [(0.0, glow), (0.09, (0.9, 0.42, 0.20)), (0.24, rose), (0.5, (0.20, 0.21, 0.42))],
        (0.92, 0.40, 0.24),
        rng.choice((0.3, 0.6, 0.9)),
        rng.uniform(0.85, 1.05),
        rng.uniform(0, 50),
    )
    azimuth = rng.choice((-1, 1)) * rng.uniform(20, 62)
    _sun(rng, rng.uniform(11, 19), azimuth, (1, 0.62, 0.36), rng.uniform(4.0, 5.0), 1.5)


def _night(rng: Random) -> None:
    sky(
        [(0.0, (0.020, 0.034, 0.085)), (0.25, (0.008, 0.015, 0.05)), (0.7, (0.003, 0.005, 0.02))],
        (0.03, 0.04, 0.08),
        0.3,
        rng.uniform(0.9, 1.3),
        rng.uniform(0, 50),
    )
    _sun(rng, 40, rng.uniform(-60, 60), (0.45, 0.6, 1.0), rng.uniform(0.10, 0.2), 2)
    side = rng.choice((-1, 1))
    warm: Colour = (1, 0.80, 0.55) if rng.random() < 0.6 else (0.85, 0.93, 1)
    _area(
        (side * rng.uniform(3, 5), -rng.uniform(3, 6), rng.uniform(4.5, 6)),
        (0, 0, 0.5),
        1.5,
        rng.uniform(420, 640),
        warm,
    )
    _area((-side * 5, 1.5, 5), (0, 0, 0.5), 1.2, rng.uniform(120, 240), warm)


LIGHT: dict[str, Callable[[Random], None]] = {"day": _day, "sunset": _sunset, "night": _night}

# in stops
EXPOSURE = {"studio": -0.45, "city street": 0.5, "forest": 0.5, "mountain": 0.25, "meadow": 0.1}


def build_setting(scene: SceneSpec) -> None:
    """Build a scene's place, sky and lights."""
    rng = np.random.default_rng(scene.look)
    SETTINGS[scene.setting](rng, scene.time == "night")
    if scene.setting == "studio":
        sky([(0, (0.6, 0.6, 0.6)), (1, (0.75, 0.75, 0.75))], (1, 1, 1), 0, 0.35, 0)
    else:
        LIGHT[scene.time](rng)
    shade = EXPOSURE.get(scene.setting, 0.0)
    bpy.context.scene.view_settings.exposure = shade if scene.time != "night" else 0.25
