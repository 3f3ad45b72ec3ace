"""Things that stand in drawn places, each of a few solids."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np

from packshot_pocket.pretrain.sunlit.solids import Coat, Solid

Foot = tuple[float, float]
Coats = Callable[[], Coat]
Maker = Callable[[np.random.Generator, Foot, float, Coats], list[Solid]]


def _box(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    wide, deep = tall * rng.uniform(0.25, 1.6, 2) / 2
    return [Solid("box", (*foot, tall / 2), (wide, deep, tall / 2), rng.uniform(0, pi), coat())]


def _car(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    """A long box with a shorter one on it."""
    turn, paint = rng.uniform(0, pi), coat()
    long, wide = tall * rng.uniform(1, 1.7), tall * rng.uniform(0.5, 0.75)
    low = Solid("box", (*foot, 0.38 * tall), (long, wide, 0.26 * tall), turn, paint)
    back = rng.uniform(-0.3, 0.3) * long
    at = foot[0] + back * cos(turn), foot[1] + back * sin(turn), 0.8 * tall
    return [low, Solid("box", at, (0.5 * long, 0.8 * wide, 0.2 * tall), turn, coat())]


def _post(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    thick = tall * rng.uniform(0.02, 0.12)
    post = Solid("post", (*foot, tall / 2), (thick, thick, tall / 2), 0, coat())
    if rng.random() < 0.5:
        return [post]
    top = tall * rng.uniform(0.08, 0.2)
    return [post, Solid("box", (*foot, tall), (2 * top, thick, top), rng.uniform(0, pi), coat())]


def _bottle(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    thick, body = tall * rng.uniform(0.13, 0.4), tall * rng.uniform(0.5, 1.0)
    paint = coat()
    made = [Solid("post", (*foot, body / 2), (thick, thick, body / 2), 0, paint)]
    if body < 0.85 * tall:
        neck = (body + tall) / 2
        made += [
            Solid("ball", (*foot, body), (thick, thick, (tall - body) / 2), 0, paint),
            Solid("post", (*foot, neck), (thick / 3, thick / 3, (tall - body) / 2), 0, paint),
        ]
    return made


def _ball(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    return [Solid("ball", (*foot, tall / 2), (tall / 2, tall / 2, tall / 2), 0, coat())]


def _rock(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    paint, made = coat(), []
    for _ in range(int(rng.integers(2, 5))):
        half = tall * rng.uniform(0.35, 0.9, 3)
        x, y = np.array(foot) + tall * rng.uniform(-0.5, 0.5, 2)
        made.append(
            Solid(
                "ball", (x, y, 0.1 * tall), (half[0], half[1], half[2]), rng.uniform(0, pi), paint
            )
        )
    return made


def _tree(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    """A trunk, and leaves in clumps through which light falls."""
    trunk = tall * rng.uniform(0.02, 0.05)
    made = [Solid("post", (*foot, 0.3 * tall), (trunk, trunk, 0.3 * tall), 0, coat())]
    leaves = coat()
    for _ in range(int(rng.integers(5, 10))):
        x, y = np.array(foot) + tall * rng.normal(0, 0.16, 2)
        half = tall * rng.uniform(0.09, 0.22, 3)
        up = tall * rng.uniform(0.45, 0.95)
        made.append(
            Solid("ball", (x, y, up), (half[0], half[1], half[2]), rng.uniform(0, pi), leaves)
        )
    return made


def _person(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    turn, shirt, trousers = rng.uniform(0, pi), coat(), coat()
    side = np.array([cos(turn), sin(turn)]) * 0.07 * tall
    thick = 0.045 * tall, 0.045 * tall, 0.23 * tall
    legs = [
        Solid("post", (*(np.array(foot) + way * side), 0.23 * tall), thick, 0, trousers)
        for way in (-1, 1)
    ]
    body = Solid("box", (*foot, 0.64 * tall), (0.13 * tall, 0.07 * tall, 0.19 * tall), turn, shirt)
    head = Solid("ball", (*foot, 0.92 * tall), (0.06 * tall, 0.06 * tall, 0.08 * tall), 0, coat())
    return [*legs, body, head]


def _house(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    """A body, a step beside it, and a chimney."""
    turn = rng.uniform(0, pi)
    wide, deep = tall * rng.uniform(0.5, 1.3, 2)
    beside = foot[0] + 1.2 * wide * cos(turn), foot[1] + 1.2 * wide * sin(turn)
    low = tall * rng.uniform(0.3, 0.7)
    return [
        Solid("box", (*foot, tall / 2), (wide, deep, tall / 2), turn, coat()),
        Solid("box", (*beside, low / 2), (wide / 2, deep / 2, low / 2), turn, coat()),
        Solid("box", (*foot, tall), (wide / 9, wide / 9, tall / 5), turn, coat()),
    ]


def _table(rng: np.random.Generator, foot: Foot, tall: float, coat: Coats) -> list[Solid]:
    """A top on four legs."""
    turn, paint = rng.uniform(0, pi), coat()
    wide, deep = tall * rng.uniform(0.5, 1.2, 2)
    legs = []
    for across, along in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        x = foot[0] + 0.9 * (across * wide * cos(turn) - along * deep * sin(turn))
        y = foot[1] + 0.9 * (across * wide * sin(turn) + along * deep * cos(turn))
        half = 0.05 * tall, 0.05 * tall, 0.46 * tall
        legs.append(Solid("box", (x, y, 0.46 * tall), half, turn, paint))
    return [*legs, Solid("box", (*foot, 0.95 * tall), (wide, deep, 0.05 * tall), turn, paint)]


THINGS: dict[str, Maker] = {
    "box": _box, "car": _car, "post": _post, "bottle": _bottle, "ball": _ball, "rock": _rock,
    "tree": _tree, "person": _person, "house": _house, "table": _table,
}  # fmt: skip
