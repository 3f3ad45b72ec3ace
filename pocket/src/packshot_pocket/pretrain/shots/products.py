"""Things of many kinds from a few surfaces each, standing on y = 0, about 1 in size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from packshot_pocket.pretrain.shots.bank import Bank, Random
from packshot_pocket.pretrain.shots.meshes import (
    Array,
    Coat,
    Surface,
    curve,
    lathe,
    loft,
    rounded,
    tube,
    turn,
)

Thing = list[Surface]
_IDENTITY = np.eye(3, dtype=np.float32)


class Coats:
    """Draws coats from a bank; those of one thing share a few colours."""

    def __init__(self, bank: Bank, rng: Random) -> None:
        self.bank, self.rng = bank, rng
        self.colours = [self._colour() for _ in range(3)]

    def _colour(self) -> Array:
        rng = self.rng
        value = rng.choice(
            [rng.uniform(0.01, 0.08), rng.uniform(0.05, 0.5), rng.uniform(0.5, 0.95)]
        )
        tint = rng.dirichlet(np.ones(3) * rng.choice([0.5, 2, 8, 40]))
        return np.asarray((tint / tint.max() * value), np.float32)

    def __call__(self, kind: str | None = None, repeats: float | None = None) -> Coat:
        """A coat of a kind of texture."""
        rng = self.rng
        kind = kind or str(
            rng.choice(
                ["plain", "print", "weave", "wood", "photo", "stone"],
                p=[0.56, 0.2, 0.1, 0.06, 0.04, 0.04],
            )
        )
        number = int(rng.choice(self.bank.kinds[kind]))
        colour = self.colours[int(rng.integers(3))]
        if kind in ("print", "photo") or (kind == "wood" and rng.random() < 0.8):
            colour = np.full(3, rng.uniform(0.5, 1), np.float32)
        often = repeats or (1.0 if kind in ("print", "photo") else float(rng.choice([1, 2, 4])))
        metal = float(rng.random() < 0.14)
        gloss = rng.choice([0.02, 0.04, 0.08, 0.2]) if not metal else rng.uniform(0.5, 1)
        uneven = float(rng.choice([0, rng.uniform(0.2, 1), rng.uniform(1, 4)], p=[0.5, 0.3, 0.2]))
        relief = int(rng.choice(self.bank.kinds[str(rng.choice(["plain", "stone", "weave"]))]))
        shine = (float(gloss), metal, float(rng.uniform(0, 1)))
        return Coat(number, (often, often), tuple(colour), *shine, uneven, relief)


def draw_thing(bank: Bank, rng: Random) -> Thing:
    """A random thing, turned at random about the upright axis, about 1 in size."""
    make = KINDS[int(rng.choice(len(KINDS), p=SHARES))]
    return placed(make(Coats(bank, rng), rng), rng)


def placed(thing: Thing, rng: Random) -> Thing:
    """On the ground, turned at random about the upright axis; now and then it lies or leans."""
    if rng.random() < 0.06:  # lies or leans
        tilt = turn("z", float(rng.choice([np.pi / 2, rng.uniform(-0.5, 0.5)])))
        thing = [surface.moved(tilt) for surface in thing]
    spin = turn("y", rng.uniform(0, 2 * np.pi))
    return standing([surface.moved(spin) for surface in thing])


def standing(thing: Thing) -> Thing:
    """Scaled to a size of 1, its middle above the origin and its lowest point on the ground."""
    points = np.concatenate([surface.points.reshape(-1, 3) for surface in thing])
    low, high = points.min(axis=0), points.max(axis=0)
    size = float((high - low).max())
    middle = (low + high) / 2
    offset = -np.array([middle[0], low[1], middle[2]]) / size
    return [surface.moved(_IDENTITY / size, offset) for surface in thing]


def _bands(coats: Coats, radii: Array, heights: Array, rng: Random) -> Thing:
    """A turned profile in one to four bands of coats of their own."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.45, 0.25, 0.2, 0.1]))
    cuts = np.sort(rng.choice(np.arange(3, len(radii) - 3), count - 1, replace=False))
    edges = [0, *cuts.tolist(), len(radii) - 1]
    start = rng.uniform(0, 6)
    main = coats()
    parts = []
    for first, last in pairwise(edges):
        coat = main if rng.random() < 0.3 else coats()
        parts.append(lathe(radii[first : last + 1], heights[first : last + 1], coat, start=start))
    return parts


def _turned(coats: Coats, rng: Random) -> Thing:
    """A pot, vase, bottle, can, bowl, jar, candle, lamp …"""
    style = rng.integers(0, 5)
    height = rng.uniform(0.35, 3)
    if style == 0:  # a can or jar: straight, with a lip
        lip = rng.uniform(0.8, 1.02)
        control: Any = [1, 1, 1, 1, 1, lip, lip]
    elif style == 1:  # a bottle: a neck
        neck, belly = rng.uniform(0.15, 0.5), rng.uniform(0.8, 1.2)
        control = [0.9, 1, belly, 1, neck * 1.3, neck, neck * rng.uniform(0.8, 1.3)]
        height = rng.uniform(1.5, 3.5)
    elif style == 2:  # a vase
        control = rng.uniform(0.25, 1.1, 6)
    elif style == 3:  # a bowl or cup
        control = np.linspace(rng.uniform(0.3, 0.9), 1, 5) ** rng.uniform(0.3, 1)
        height = rng.uniform(0.4, 1.4)
    else:
        control = rng.uniform(0.3, 1, int(rng.integers(3, 9)))
    smooth = "straight" if rng.random() < 0.25 else "smooth"
    radii = curve(control, 26, smooth)
    heights = np.linspace(0, height, 26, dtype=np.float32)
    thing = _bands(coats, radii, heights, rng)
    top = float(radii[-1])
    closing = rng.random()
    if closing < 0.4 or style == 0:  # a lid or a flat top
        rise = rng.choice([0.0, rng.uniform(0, 0.3)])
        wide = top * rng.choice([1.0, 1.0, rng.uniform(1, 1.12)])
        cover = np.array([wide, wide, wide * 0.9, wide * 0.5, 0], np.float32)
        rises = height + np.array([-0.02, rise * 0.6, rise, rise * 1.1, rise * 1.15], np.float32)
        thing.append(lathe(cover, rises, coats()))
        if rng.random() < 0.3:
            thing.append(_ball(coats(), (0, height + rise * 1.1, 0), rng.uniform(0.08, 0.25)))
    else:  # open: the inside
        inside = np.array(
            [top, top * 0.94, float(radii[20]) * 0.9, float(radii[14]) * 0.9, 0], np.float32
        )
        down = height * np.array([1, 1.005, 0.8, 0.6, rng.uniform(0.3, 0.9)], np.float32)
        thing.append(lathe(inside, down, coats() if rng.random() < 0.5 else thing[-1].coat))
    thing.append(lathe(np.array([0, radii[0]], np.float32), np.zeros(2, np.float32), thing[0].coat))
    if rng.random() < 0.35:
        thing.append(_handle(coats, radii, height, rng))
        if rng.random() < 0.4:
            spout = _spout(radii, height, rng)
            thing.append(
                tube(spout, rng.uniform(0.08, 0.2) * np.array([1.6, 1.1, 0.8]), thing[0].coat)
            )
    if rng.random() < 0.06:  # a hanger above
        angles = np.linspace(0, np.pi, 16)
        path = np.stack([top * np.cos(angles), height + 0.8 * np.sin(angles), 0 * angles], axis=1)
        thing.append(tube(path, rng.uniform(0.03, 0.08), coats()))
    return thing


def _ball(coat: Coat, at: tuple[float, float, float], radius: float) -> Surface:
    size = 2 * radius
    return rounded((size, size, size), 0, coat).moved(_IDENTITY, (at[0], at[1] - radius, at[2]))


def _handle(coats: Coats, radii: Array, height: float, rng: Random) -> Surface:
    low, high = np.sort(rng.choice(np.arange(3, 24), 2, replace=False))
    out = rng.uniform(0.25, 0.8)
    heights = np.array([low, low, (low + high) / 2, high, high]) / 25 * height
    across = np.array([radii[low] * 0.95, radii[low] + out, max(radii[low], radii[high]) + out,
                       radii[high] + out, radii[high] * 0.95])  # fmt: skip
    path = curve(np.stack([across, heights, 0 * heights], axis=1), 18)
    coat = coats() if rng.random() < 0.4 else coats("plain")
    return tube(path, rng.uniform(0.04, 0.14), coat, flat=rng.uniform(0.4, 1))


def _spout(radii: Array, height: float, rng: Random) -> Array:
    start = int(rng.integers(6, 18))
    out, rise = rng.uniform(0.4, 1), rng.uniform(0.2, 0.7) * height
    y = start / 25 * height
    r = float(radii[start]) * 0.9
    control = [[-r, y, 0], [-r - out * 0.6, y + rise * 0.3, 0], [-r - out, y + rise, 0]]
    return curve(control, 12)


def _box(coats: Coats, rng: Random) -> Thing:
    """A box, book, radio, bag or pillow, with smaller ones on it."""
    size = tuple(float(v) for v in rng.uniform(0.2, 1, 3))
    squareness = float(rng.choice([rng.uniform(0.3, 0.7), rng.uniform(0.7, 0.92)]))
    body = rounded(size, squareness, coats())  # type: ignore[arg-type]
    thing = [body]
    for _ in range(rng.integers(0, 4)):
        share = rng.uniform(0.15, 0.7, 3)
        small = tuple(float(s * v) for s, v in zip(share, size, strict=True))
        part = rounded(small, squareness, coats())  # type: ignore[arg-type]
        x = rng.uniform(-0.4, 0.4) * size[0]
        thing.append(part.moved(_IDENTITY, (x, rng.uniform(0, 0.7) * size[1], size[2] * 0.45)))
    if rng.random() < 0.35:  # a handle or strap above or at the side
        wide, tall = rng.uniform(0.2, 0.9) * size[0] / 2, rng.uniform(0.1, 0.5)
        angles = np.linspace(0, np.pi, 18)
        path = np.stack([wide * np.cos(angles), size[1] * 0.96 + tall * np.sin(angles),
                         np.full(18, rng.uniform(-0.3, 0.3) * size[2])], axis=1)  # fmt: skip
        thing.append(tube(path, rng.uniform(0.015, 0.06), coats(), flat=rng.uniform(0.3, 1)))
    if rng.random() < 0.25:
        thing += _legs(coats, size, rng)
    return thing


def _legs(coats: Coats, size: tuple[float, ...], rng: Random) -> Thing:
    coat, long, thick = coats(), rng.uniform(0.1, 0.8), rng.uniform(0.02, 0.06)
    legs = []
    for x in (-0.4, 0.4):
        for z in (-0.4, 0.4):
            path = np.array(
                [[x * size[0], 0.05, z * size[2]], [x * size[0] * 1.1, -long, z * size[2] * 1.1]]
            )
            legs.append(tube(path, thick, coat))
    return legs


def _lofted(coats: Coats, rng: Random) -> Thing:
    """A shoe, boat, animal or tool: sections along its length, on a sole or on wheels."""
    long = rng.uniform(1, 2.6)
    places = np.linspace(-long / 2, long / 2, 30, dtype=np.float32)
    lows = np.full(30, 0.12, np.float32)
    widths = curve(rng.uniform(0.35, 0.9, 5), 30)
    highs = lows + curve(np.append(rng.uniform(0.25, 1.1, 5), 0.2), 30)
    thing: Thing = []
    split = int(rng.integers(6, 24))
    exponent = rng.uniform(0.4, 1)
    for first, last in ((0, split), (split, 29)):
        part = slice(first, last + 1)
        thing.append(loft(places[part], widths[part], lows[part], highs[part], coats(), exponent))
    if rng.random() < 0.6:  # a sole
        bumps = 0.03 * np.sin(np.linspace(0, rng.uniform(5, 40), 30))
        thing.append(loft(places * 1.03, widths * 1.06, 0 * lows + bumps.astype(np.float32),
                          lows + rng.uniform(0.02, 0.2), coats(), 0.4))  # fmt: skip
    for _ in range(rng.integers(0, 7)):  # laces, stripes, belts
        at = int(rng.integers(4, 26))
        angles = np.linspace(0, np.pi, 14)
        lean = rng.uniform(-0.3, 0.3)
        rises = lows[at] + (highs[at] - lows[at]) * np.sin(angles) ** 0.7
        around = (places[at] + lean * np.cos(angles), rises, widths[at] / 2 * np.cos(angles))
        path = np.stack(around, axis=1)
        thing.append(tube(path, rng.uniform(0.02, 0.06), coats("plain")))
    return thing


def _wheel(coats: Coats, at: tuple[float, float, float], radius: float, thick: float) -> Thing:
    radii = np.array(
        [0, radius * 0.5, radius * 0.55, radius * 0.95, radius, radius, radius * 0.9, 0], np.float32
    )
    widths = thick * np.array([0.5, 0.5, 0.55, 0.5, 0.4, -0.4, -0.5, -0.5], np.float32)
    flat = turn("x", np.pi / 2 if at[2] > 0 else -np.pi / 2)
    tyre = Coat(int(coats.bank.kinds["plain"][0]), (1, 1), (0.03, 0.03, 0.03), 0.05, 0, 0.2)
    parts = [lathe(radii[:3], widths[:3], coats(), 24), lathe(radii[2:], widths[2:], tyre, 24)]
    return [part.moved(flat, at) for part in parts]


def _vehicle(coats: Coats, rng: Random) -> Thing:
    """A toy on wheels, with a cabin, a driver and perhaps an aerial."""
    long, radius = rng.uniform(1.2, 2.2), rng.uniform(0.15, 0.35)
    places = np.linspace(-long / 2, long / 2, 24, dtype=np.float32)
    widths = curve(rng.uniform(0.6, 1, 4), 24)
    lows = np.full(24, radius * 0.6, np.float32)
    highs = lows + curve(np.append(rng.uniform(0.25, 0.6, 5), 0.2), 24)
    thing = [loft(places, widths, lows, highs, coats(), 0.5)]
    top = float(highs.max())
    if rng.random() < 0.7:
        half = slice(int(rng.integers(3, 8)), int(rng.integers(14, 20)))
        n = half.stop - half.start
        roof = curve([0.05, *rng.uniform(0.2, 0.5, 2), 0.05], n)
        thing.append(
            loft(
                places[half],
                widths[half] * 0.85,
                highs[half] * 0.8,
                highs[half] + roof,
                coats(),
                0.5,
            )
        )
    for x in (-0.3, 0.3):
        for z in (-1, 1):
            at = (x * long, radius, z * float(widths[12]) / 2)
            thing += _wheel(coats, at, radius, rng.uniform(0.12, 0.25))
    if rng.random() < 0.5:
        thing.append(
            _ball(coats(), (rng.uniform(-0.3, 0.3), top + 0.2, 0), rng.uniform(0.15, 0.35))
        )
    for _ in range(rng.integers(0, 5)):
        size = tuple(float(v) for v in rng.uniform(0.08, 0.35, 3))
        spot = (rng.uniform(-0.5, 0.5) * long, rng.uniform(0.1, 0.8) * top, rng.uniform(-0.4, 0.4))
        thing.append(rounded(size, rng.uniform(0, 0.8), coats()).moved(_IDENTITY, spot))  # type: ignore[arg-type]
    if rng.random() < 0.5:
        x = rng.uniform(-0.4, 0.4) * long
        path = np.array(
            [[x, top * 0.7, 0.2], [x + rng.uniform(-0.4, 0.4), top + rng.uniform(0.4, 1.4), 0.2]]
        )
        thing.append(tube(path, rng.uniform(0.012, 0.035), coats()))
    return thing


def _dial(coats: Coats, rng: Random) -> Thing:
    """A clock, mirror or fan: a disc that faces one, with bells, feet, an arch."""
    thick = rng.uniform(0.15, 0.6)
    rim = rng.uniform(0.75, 0.95)
    back = lathe(
        np.array([0, 0.9, 1, 1, rim], np.float32),
        thick * np.array([-0.5, -0.5, -0.3, 0.5, 0.55], np.float32),
        coats(),
    )
    face = lathe(
        np.array([rim, rim * 0.5, 0], np.float32),
        np.full(3, thick * 0.5, np.float32),
        coats(rng.choice(["plain", "print"])),
    )
    upright = turn("x", np.pi / 2)
    thing = [back.moved(upright), face.moved(upright)]
    hand = coats("plain")
    for _ in range(rng.integers(0, 4)):
        angle, long = rng.uniform(0, 6.3), rng.uniform(0.3, 0.8)
        z = thick * 0.5 + 0.03
        path = np.array([[0, 0, z], [long * np.sin(angle), long * np.cos(angle), z]])
        thing.append(tube(path, 0.03, hand))
    if rng.random() < 0.6:
        bells = coats()
        for x in (-1, 1):
            thing.append(_ball(bells, (x * rng.uniform(0.5, 0.65), 1.0, 0), rng.uniform(0.25, 0.4)))
    if rng.random() < 0.6:
        angles = np.linspace(0.1, np.pi - 0.1, 16)
        path = np.stack(
            [0.6 * np.cos(angles), 1 + rng.uniform(0.2, 0.6) * np.sin(angles), 0 * angles], axis=1
        )
        thing.append(tube(path, rng.uniform(0.02, 0.06), coats("plain")))
    foot = coats()
    for x in (-1, 1):
        path = np.array([[0.6 * x, -0.7, 0], [0.75 * x, -1.15, 0.1]])
        thing.append(tube(path, 0.09, foot))
    return thing


def _figure(coats: Coats, rng: Random) -> Thing:
    """A toy or ornament of balls and limbs."""
    skin = coats()
    body, head = rng.uniform(0.3, 0.5), rng.uniform(0.2, 0.4)
    thing = [rounded((2 * body, 2.2 * body, 1.8 * body), rng.uniform(0, 0.5), skin)]
    thing.append(
        _ball(skin if rng.random() < 0.5 else coats(), (0, 2.2 * body + head * 0.7, 0), head)
    )
    for x in (-1, 1):
        for y, out in ((1.6, 0.5), (0.3, 0.4)):
            path = np.array(
                [
                    [x * body * 0.7, y * body, 0.1],
                    [x * (body + out), y * body - rng.uniform(-0.3, 0.4), 0.2],
                ]
            )
            thing.append(
                tube(path, rng.uniform(0.06, 0.15), skin if rng.random() < 0.6 else coats())
            )
        if rng.random() < 0.5:
            thing.append(
                _ball(
                    skin, (x * head * 0.7, 2.2 * body + 1.6 * head, 0), head * rng.uniform(0.2, 0.5)
                )
            )
    return thing


def _compound(coats: Coats, rng: Random) -> Thing:
    """Two to six solids of any kind, joined."""
    thing: Thing = []
    for _ in range(rng.integers(2, 7)):
        size = tuple(float(v) for v in rng.uniform(0.1, 0.9, 3))
        if rng.random() < 0.5:
            part = rounded(size, rng.uniform(0, 0.9), coats())  # type: ignore[arg-type]
        else:
            part = lathe(
                curve(rng.uniform(0.1, 0.5, 4), 16), np.linspace(0, size[1] * 1.5, 16), coats()
            )
        lean = turn("z", rng.choice([0, 0, np.pi / 2, rng.uniform(-1, 1)]))
        spot = rng.uniform(-0.35, 0.35, 3) + np.array([0, 0.35, 0])
        thing.append(part.moved(lean, spot))
    if rng.random() < 0.3:
        path = curve(rng.uniform(-0.8, 0.8, (4, 3)) + np.array([0, 0.8, 0]), 20)
        thing.append(tube(path, rng.uniform(0.01, 0.05), coats("plain")))
    return thing


KINDS: tuple[Callable[[Coats, Random], Thing], ...] = (
    _turned, _box, _lofted, _vehicle, _dial, _figure, _compound,
)  # fmt: skip
SHARES = (0.36, 0.18, 0.14, 0.1, 0.07, 0.05, 0.1)
