"""Mugs: a turned body, a handle at one side, a print in front or all round, another colour inside."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, differ, shade
from packshot_pocket.scenes.shape import Array, Shape
from packshot_pocket.scenes.things.model import Model, Surface
from packshot_pocket.scenes.things.prints import MANY, Print

_ROWS, _COLUMNS = 64, 192  # faces of the wall
_ALL_ROUND = (*MANY, "band")
# The wall's radius over its widest, from foot to rim, at even heights.
FORMS = {
    "straight": (0.96, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "tapered": (0.70, 0.76, 0.82, 0.87, 0.92, 0.96, 1.0),
    "round": (0.62, 0.84, 0.95, 1.0, 1.0, 0.98, 0.97),
    "barrel": (0.80, 0.92, 0.98, 1.0, 0.98, 0.92, 0.86),
    "waisted": (0.96, 0.90, 0.86, 0.85, 0.87, 0.93, 1.0),
}


@dataclass(frozen=True)
class Mug:
    """A mug. Lengths in shares of its height."""

    noun: ClassVar[str] = "mug"
    flat: ClassVar[bool] = False
    colour: str
    paint: Colour
    inside: str
    handle: str  # a colour's name
    side: int  # of the handle: 1 is left, -1 is right
    printed: Print | None
    form: str  # one of FORMS
    radius: float
    handle_reach: float
    handle_square: float  # 1 is round, more is squarer
    thickness: float  # of the handle
    gloss: float

    @classmethod
    def draw(cls, rng: random.Random) -> Mug:
        """A random one."""
        colour = rng.choice(tuple(ALL_COLOURS))
        others = [c for c in ALL_COLOURS if differ(c, colour)]
        return cls(
            colour=colour,
            paint=shade(colour, rng),
            inside=rng.choice((colour, "white", "white", rng.choice(others))),
            handle=rng.choice(others) if rng.random() < 0.3 else colour,
            side=rng.choice((-1, 1)),
            printed=Print.draw(rng, colour) if rng.random() < 0.75 else None,
            form=rng.choice(tuple(FORMS)),
            radius=rng.uniform(0.38, 0.52),
            handle_reach=rng.uniform(0.28, 0.4),
            handle_square=rng.choice((2.0, rng.uniform(2.5, 5))),
            thickness=rng.uniform(0.045, 0.075),
            gloss=rng.uniform(0.3, 1),
        )

    def details(self) -> list[str]:
        """The print and the handle."""
        said = [self.printed.words()] if self.printed else []
        if self.handle != self.colour:
            said.append(("an " if self.handle[0] in "aeiou" else "a ") + f"{self.handle} handle")
        return said

    def model(self) -> Model:
        """The printed wall, the inside, the foot and the handle."""
        shape = Shape()
        shape.printed(self._wall(), self._picture(), ("paint", "ink"), wrap=True)
        rim, foot = self._radius(np.array([1.0, 0.0]))
        inner = [(rim, 1), (rim - 0.02, 1.015), (rim - 0.045, 1), (self._radius(0.5) - 0.05, 0.5)]
        lip = np.array(inner[:3])
        shape.lathe(lip, (0, 0, 0), "paint", axis=2, segments=64)
        well = np.array([*inner[2:], (foot - 0.05, 0.08), (0.001, 0.06)])
        shape.lathe(well, (0, 0, 0), "inside", axis=2, segments=64)
        under = np.array([(0.001, 0.01), (foot - 0.03, 0), (foot, 0.004)])
        shape.lathe(under, (0, 0, 0), "paint", axis=2, segments=64)
        shape.grid(self._handle(), "handle", wrap=True)
        rough = 0.42 - 0.27 * self.gloss
        ink = self.printed.ink if self.printed else self.colour
        colours = {"ink": ink, "inside": self.inside, "handle": self.handle}
        looks = {part: ALL_COLOURS[name] for part, name in colours.items()}
        looks |= {part: self.paint for part, name in colours.items() if name == self.colour}
        looks["paint"] = self.paint
        return Model(shape, {n: Surface(rgb, rough, coat=self.gloss) for n, rgb in looks.items()})

    def _radius(self, height: Array | float) -> Array:
        form = np.array(FORMS[self.form])
        return self.radius * np.interp(height, np.linspace(0, 1, len(form)), form)

    def _wall(self) -> Array:
        z = np.linspace(0.004, 1, _ROWS + 1)
        turn = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
        r = self._radius(z)[:, None]
        heights = np.broadcast_to(z[:, None], (_ROWS + 1, _COLUMNS))
        return np.stack((r * np.cos(turn), r * np.sin(turn), heights), -1)

    def _picture(self) -> Array:
        """The motif once in front, or all round."""
        where = np.zeros((_ROWS, _COLUMNS), int)
        if self.printed is None:
            return where
        around = 2 * np.pi * self.radius
        if self.printed.motif in _ALL_ROUND:
            return self.printed.picture(_ROWS, _COLUMNS, around)
        low, high = round(0.15 * _ROWS), round(0.85 * _ROWS)
        width = round(0.7 / around * _COLUMNS)
        left = (_COLUMNS - width) // 2
        where[low:high, left : left + width] = self.printed.picture(high - low, width, 1.0)
        return where

    def _handle(self) -> Array:
        """A tube bent to half a superellipse, its ends inside the wall."""
        turn = np.linspace(-np.pi / 2, np.pi / 2, 28)
        power = 2 / self.handle_square
        out = np.abs(np.cos(turn)) ** power * self.handle_reach
        up = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power * 0.31 + 0.52
        middle = np.stack((self._radius(up) * 0.97 + out, up), -1)
        along = np.gradient(middle, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        normal = np.stack((along[:, 1], -along[:, 0]), -1)
        ring = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        across = self.thickness * np.cos(ring)[None, :, None] * normal[:, None]
        sideways = np.broadcast_to(1.25 * self.thickness * np.sin(ring), (len(turn), len(ring)))
        y, z = (middle[:, None] + across)[..., 0] * self.side, (middle[:, None] + across)[..., 1]
        return np.stack((sideways, y, z), -1)
