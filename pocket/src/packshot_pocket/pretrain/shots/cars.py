"""Cars as they stand in streets and meadows, in metres: x to the front, z to a side, wheels on y = 0.

What makes their outline hard: tyres in their own shade, dark racks and mirrors, panes that show the sky.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from packshot_pocket.pretrain.shots.bank import Random
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
from packshot_pocket.pretrain.shots.products import Coats, Thing

_IDENTITY = np.eye(3, dtype=np.float32)
_SECTIONS = 40


@dataclass(frozen=True)
class Measures:
    """Of a car's body: lengths in metres, places along it from its middle."""

    long: float
    wide: float
    tall: float
    clear: float  # of the body above the ground
    shoulder: float  # height of the panes' lower edge
    wheel: float  # radius
    axles: tuple[float, float]
    cabin: tuple[float, float, float, float]  # rear and front of the panes below, then of the roof
    corners: float  # exponent of the sections: 1 for round ones, towards 0 boxes


def draw_car(coats: Coats, rng: Random) -> Thing:
    """A random car: hatchback, saloon, estate, off-roader, van or pickup, with or without a rack."""
    car = _measures(rng)
    paint = _paint(coats, rng)
    trim = paint if rng.random() < 0.35 else _plain(coats, rng.uniform(0.01, 0.05), gloss=0.03)
    thing = [*_body(car, paint, rng), *_sill_and_bumpers(car, trim, coats, rng)]
    thing += _cabin(car, paint, coats, rng)
    thing += _wheels(car, trim, coats, rng)
    thing += _lamps_and_plates(car, coats, rng)
    for chance, part in ((0.85, _mirrors), (0.45, _rack), (0.25, _spare_wheel), (0.15, _aerial)):
        if rng.random() < chance:
            thing += part(car, trim if rng.random() < 0.7 else paint, coats, rng)
    return thing


def _measures(rng: Random) -> Measures:
    long, wide, tall = rng.uniform(3.4, 5.2), rng.uniform(1.6, 2.0), rng.uniform(1.3, 2.0)
    wheel = rng.uniform(0.28, 0.42)
    shoulder = tall * rng.uniform(0.55, 0.66)
    front = long * rng.uniform(0.05, 0.32)
    rear = -long * rng.choice([rng.uniform(0.42, 0.49), rng.uniform(0.1, 0.35)], p=[0.65, 0.35])
    steep = rng.uniform(0.1, 0.7)
    roof = rear + rng.uniform(0.02, 0.35), front - steep
    return Measures(
        long, wide, tall, rng.uniform(0.14, 0.32), shoulder, wheel,
        (-long * rng.uniform(0.27, 0.34), long * rng.uniform(0.28, 0.34)),
        (rear, front, roof[0], max(roof[1], roof[0] + 0.4)), rng.uniform(0.15, 0.45),
    )  # fmt: skip


def _plain(coats: Coats, value: float, gloss: float = 0.04, sharp: float = 0.3) -> Coat:
    number = int(coats.bank.kinds["plain"][0])
    return Coat(number, (1, 1), (value, value, value), gloss, 0, sharp)


def _paint(coats: Coats, rng: Random) -> Coat:
    """Of any colour, glossy; now and then with a print."""
    coat = coats("print" if rng.random() < 0.12 else "plain")
    return replace(coat, gloss=float(rng.uniform(0.03, 0.12)), metal=0.0, sharp=1.0, uneven=0.0)


def _along(values: Any) -> Array:
    return curve(values, _SECTIONS)


def _body(car: Measures, paint: Coat, rng: Random) -> Thing:
    """What is below the panes, with perhaps a band of another colour along it."""
    places = np.linspace(-car.long / 2, car.long / 2, _SECTIONS, dtype=np.float32)
    nose = rng.uniform(0.62, 0.95)
    tail = rng.uniform(0.8, 1)
    highs = car.shoulder * _along([tail, 1, 1, 1, (1 + nose) / 2, nose])
    ends = rng.uniform(0.8, 0.98, 2)
    widths = car.wide * _along([ends[0], 1, 1, 1, 1, ends[1]])
    lows = car.clear * _along([1.3, 1, 1, 1, 1, 1.2])
    thing = [loft(places, widths, lows, highs, paint, car.corners)]
    if rng.random() < 0.35:
        band = replace(paint, tint=tuple(rng.uniform(0.02, 0.95, 3)))
        at, thick = rng.uniform(0.45, 0.8) * car.shoulder, rng.uniform(0.04, 0.15)
        part = slice(3, _SECTIONS - 3)
        middle = np.full(_SECTIONS, at, np.float32)[part]
        thing.append(
            loft(places[part], widths[part] * 1.006, middle - thick, middle + thick, band, 0.1)
        )
    return thing


def _sill_and_bumpers(car: Measures, trim: Coat, coats: Coats, rng: Random) -> Thing:
    thing = []
    tall = rng.uniform(0.12, 0.3)
    for end in (-1, 1):
        size = (rng.uniform(0.15, 0.35), tall, car.wide * rng.uniform(0.9, 1.01))
        at = (end * (car.long / 2 - size[0] * 0.3), car.clear * rng.uniform(0.95, 1.4), 0)
        thing.append(rounded(size, 0.7, trim).moved(_IDENTITY, at))
    sill = (car.axles[1] - car.axles[0], rng.uniform(0.06, 0.18), car.wide * 1.01)
    thing.append(
        rounded(sill, 0.85, trim).moved(_IDENTITY, (sum(car.axles) / 2, car.clear * 0.9, 0))
    )
    below = (car.long * 0.85, 0.1, car.wide * 0.7)  # axles, tank, exhaust
    dark = _plain(coats, 0.015)
    return [*thing, rounded(below, 0.8, dark).moved(_IDENTITY, (0, car.clear * 0.7, 0))]


def _cabin(car: Measures, paint: Coat, coats: Coats, rng: Random) -> Thing:
    """Panes all around, pillars before them, and a roof of the paint or of another colour."""
    rear, front, roof_rear, roof_front = car.cabin
    pane = replace(
        _plain(coats, rng.uniform(0.01, 0.06)), gloss=float(rng.uniform(0.04, 0.2)), sharp=1.0
    )
    lean = rng.uniform(0.78, 0.95)
    low, high = car.shoulder * 0.97, car.tall - 0.06
    below = [(rear, car.wide * 0.94), (front, car.wide * 0.94)]
    above = [(roof_rear, car.wide * 0.94 * lean), (roof_front, car.wide * 0.94 * lean)]
    roof_paint = paint if rng.random() < 0.6 else replace(paint, tint=tuple(rng.uniform(0.3, 1, 3)))
    pillar = roof_paint if rng.random() < 0.6 else _plain(coats, 0.02)
    thing = [_panes(below, above, low, high, pane)]
    size = (roof_front - roof_rear + 0.08, rng.uniform(0.06, 0.14), above[0][1] * 1.02)
    middle = (roof_front + roof_rear) / 2
    thing.append(rounded(size, 0.75, roof_paint).moved(_IDENTITY, (middle, high - 0.03, 0)))
    shares = [0.0, *np.sort(rng.uniform(0.25, 0.8, int(rng.integers(1, 4)))).tolist(), 1.0]
    thick = rng.uniform(0.025, 0.05)
    for share in shares:
        foot, top = _between(below, share), _between(above, share)
        for side in (-1, 1):
            path = np.array([[foot[0], low, side * foot[1] / 2], [top[0], high, side * top[1] / 2]])
            thing.append(tube(path, thick, pillar, around=6))
    return thing


def _between(ends: list[tuple[float, float]], share: float) -> tuple[float, float]:
    (x, wide), (other, its_wide) = ends
    return x + share * (other - x), wide + share * (its_wide - wide)


def _panes(
    below: list[tuple[float, float]], above: list[tuple[float, float]], low: float, high: float, coat: Coat
) -> Surface:  # fmt: skip
    """Four leaning walls, as a ring of corners below and one above."""

    def ring(ends: list[tuple[float, float]], y: float) -> list[list[float]]:
        (rear, wide), (front, its_wide) = ends
        corners = [(rear, wide), (front, its_wide), (front, -its_wide), (rear, -wide), (rear, wide)]
        return [[x, y, z / 2] for x, z in corners]

    return Surface(np.array([ring(below, low), ring(above, high)], np.float32), coat)


def _disc(radii: Any, depths: Any, coat: Coat, at: Any, side: int) -> Surface:
    """Turned about the axle that goes to one side."""
    flat = lathe(np.asarray(radii, np.float32), np.asarray(depths, np.float32), coat, 28)
    return flat.moved(turn("x", side * np.pi / 2), at)


def _wheels(car: Measures, trim: Coat, coats: Coats, rng: Random) -> Thing:
    """Tyres with rims, in arches."""
    r, thick = car.wheel, rng.uniform(0.16, 0.26)
    tyre = _plain(coats, rng.uniform(0.01, 0.035), sharp=0.1)
    pale = rng.uniform(0.2, 0.8)
    rim = (
        _plain(coats, 0.03)
        if rng.random() < 0.2
        else replace(_plain(coats, pale), gloss=0.4, metal=1.0)
    )
    inner = r * rng.uniform(0.55, 0.75)
    arch = trim if rng.random() < 0.5 else _plain(coats, 0.012)
    spokes = int(rng.integers(0, 8))
    thing: Thing = []
    for x in car.axles:
        for side in (-1, 1):
            at = (x, r, side * (car.wide / 2 - thick * 0.45))
            outer = thick / 2
            thing.append(
                _disc(
                    [0, inner, r * 0.94, r, r, r * 0.94, 0],
                    [outer, outer, outer, outer * 0.8, -outer, -outer, -outer],
                    tyre,
                    at,
                    side,
                )
            )
            thing += _rim(rim, inner, outer, spokes, at, side)
            thing.append(_arch(car, x, r * rng.uniform(1.08, 1.25), side, arch))
    return thing


def _arch(car: Measures, x: float, reach: float, side: int, coat: Coat) -> Surface:
    """What is around the upper half of a wheel, and how deep it goes in."""
    angles = np.linspace(0, np.pi, 20)
    rows = [
        [(x + r * np.cos(a), car.wheel + r * np.sin(a), side * (car.wide / 2 + z)) for a in angles]
        for r, z in ((car.wheel * 0.98, 0.012), (reach, 0.012), (reach, -0.2))
    ]
    return Surface(np.array(rows, np.float32), coat)


def _rim(rim: Coat, inner: float, outer: float, spokes: int, at: Any, side: int) -> Thing:
    face = outer + 0.008
    if spokes < 3:
        return [_disc([0, inner * 0.4, inner], [face + 0.02, face, face], rim, at, side)]
    thing = [_disc([inner * 0.88, inner], [face, face], rim, at, side)]
    thing.append(_disc([0, inner * 0.25], [face, face], rim, at, side))
    for angle in np.arange(spokes) * 2 * np.pi / spokes:
        far = inner * 0.9 * np.array([np.cos(angle), np.sin(angle)])
        ends = np.array([[0, 0, side * face], [far[0], far[1], side * face]]) + np.asarray(at)
        thing.append(tube(ends, inner * 0.13, rim, around=6))
    return thing


def _lamps_and_plates(car: Measures, coats: Coats, rng: Random) -> Thing:
    thing: Thing = []
    plate = _plain(coats, rng.uniform(0.5, 0.95))
    for end, tint in ((1, (0.9, 0.9, 0.85)), (-1, (0.5, 0.02, 0.02))):
        lamp = replace(_plain(coats, 1), tint=tint, gloss=0.15, sharp=1.0)
        big = rng.uniform(0.14, 0.3)
        height = car.shoulder * rng.uniform(0.6, 0.78)
        x = end * (car.long / 2 - 0.03)
        for side in (-1, 1):
            part = rounded((0.12, big * rng.uniform(0.5, 1), big), rng.uniform(0, 0.8), lamp)
            thing.append(part.moved(_IDENTITY, (x, height, side * car.wide * 0.37)))
        thing.append(
            rounded((0.06, 0.12, 0.5), 0.9, plate).moved(
                _IDENTITY, (end * (car.long / 2 + 0.02), car.clear * 1.6, 0)
            )
        )
    grille = rounded((0.06, rng.uniform(0.1, 0.25), car.wide * rng.uniform(0.3, 0.6)), 0.8,
                     _plain(coats, 0.02))  # fmt: skip
    return [*thing, grille.moved(_IDENTITY, (car.long / 2 - 0.02, car.shoulder * 0.55, 0))]


def _mirrors(car: Measures, coat: Coat, coats: Coats, rng: Random) -> Thing:
    size = tuple(float(v) for v in (0.1, rng.uniform(0.12, 0.2), rng.uniform(0.15, 0.25)))
    x = car.cabin[1] - rng.uniform(0.15, 0.4)
    return [
        rounded(size, 0.5, coat).moved(  # type: ignore[arg-type]
            _IDENTITY, (x, car.shoulder, side * (car.wide / 2 + size[2] * 0.3))
        )
        for side in (-1, 1)
    ]


def _rack(car: Measures, coat: Coat, coats: Coats, rng: Random) -> Thing:
    """Rails along the roof on posts, perhaps with bars or a box across."""
    _, _, rear, front = car.cabin
    rise, thick = rng.uniform(0.05, 0.16), rng.uniform(0.015, 0.04)
    half = car.wide * 0.36
    thing: Thing = []
    for side in (-1, 1):
        for x in np.linspace(rear + 0.1, front - 0.1, 3):
            post = np.array([[x, car.tall - 0.08, side * half], [x, car.tall + rise, side * half]])
            thing.append(tube(post, thick, coat, around=6))
        rail = np.array([[x, car.tall + rise, side * half] for x in (rear + 0.05, front - 0.05)])
        thing.append(tube(rail, thick, coat, around=6))
    for share in rng.uniform(0.1, 0.9, int(rng.integers(0, 3))):
        x = rear + share * (front - rear)
        bar = np.array([[x, car.tall + rise, -half * 1.2], [x, car.tall + rise, half * 1.2]])
        thing.append(tube(bar, thick, coat, around=6))
    if rng.random() < 0.15:
        size = ((front - rear) * 0.6, rng.uniform(0.2, 0.4), half)
        box = rounded(size, 0.6, coats("plain"))
        thing.append(box.moved(_IDENTITY, ((rear + front) / 2, car.tall + rise, 0)))
    return thing


def _spare_wheel(car: Measures, coat: Coat, coats: Coats, rng: Random) -> Thing:
    tyre, r = _plain(coats, 0.02, sharp=0.1), car.wheel * 0.95
    at = (-car.long / 2 - 0.08, car.shoulder * 0.85, rng.choice([0.0, rng.uniform(-0.3, 0.3)]))
    to_the_rear = turn("y", -np.pi / 2)
    parts = [
        lathe(np.array([0, r * 0.9, r, r], np.float32), np.array([0.1, 0.1, 0.06, -0.1], np.float32), tyre),
        lathe(np.array([0, r * 0.6], np.float32), np.array([0.11, 0.11], np.float32), coat),
    ]  # fmt: skip
    return [part.moved(turn("x", np.pi / 2)).moved(to_the_rear, at) for part in parts]


def _aerial(car: Measures, coat: Coat, coats: Coats, rng: Random) -> Thing:
    x = rng.uniform(car.cabin[2], car.cabin[3])
    path = np.array([[x, car.tall, 0], [x - rng.uniform(0, 0.4), car.tall + 0.5, 0]])
    return [tube(path, rng.uniform(0.008, 0.015), _plain(coats, 0.02), around=6)]
