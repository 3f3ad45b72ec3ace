"""Boxes: cartons with a print on front and back, plain sides, a lid's edge or a slanted top."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, shade
from packshot_pocket.scenes.shape import Shape, quad
from packshot_pocket.scenes.things.model import Model, Surface
from packshot_pocket.scenes.things.prints import Print

_FINE = 96  # faces along a printed side


@dataclass(frozen=True)
class Box:
    """A carton. Lengths in shares of its height."""

    noun: ClassVar[str] = "box"
    flat: ClassVar[bool] = False
    colour: str
    paint: Colour
    printed: Print | None
    sides: str  # a colour's name: the two narrow sides and the top, often the main colour
    width: float
    depth: float
    gloss: float

    @classmethod
    def draw(cls, rng: random.Random) -> Box:
        """A random one."""
        colour = rng.choice(tuple(ALL_COLOURS))
        return cls(
            colour=colour,
            paint=shade(colour, rng),
            printed=Print.draw(rng, colour) if rng.random() < 0.8 else None,
            sides=rng.choice(tuple(ALL_COLOURS)) if rng.random() < 0.35 else colour,
            width=rng.choice((rng.uniform(0.55, 0.85), rng.uniform(0.85, 1.6))),
            depth=rng.uniform(0.22, 0.6),
            gloss=rng.uniform(0, 0.6),
        )

    def details(self) -> list[str]:
        """The print and the sides."""
        said = [self.printed.words()] if self.printed else []
        return said + ([f"{self.sides} sides"] if self.sides != self.colour else [])

    def model(self) -> Model:
        """Front and back as fine printed grids, the rest as plain faces."""
        shape, x, y = Shape(), self.depth / 2, self.width / 2
        shape.box((-x, -y, 0), (x, y, 1), "sides")
        ink = self.printed.ink if self.printed else self.colour
        columns = round(_FINE * self.width)
        for side in (1, -1):
            out = side * (x + 0.002)
            start, end = (out, -side * y), (out, side * y)
            corners = [(*start, 0), (*end, 0), (*end, 1), (*start, 1)]
            where = np.zeros((_FINE, columns), int)
            if self.printed:
                where = self.printed.picture(_FINE, columns, self.width)
            shape.printed(quad(corners, _FINE + 1, columns + 1), where, ("paint", "ink"))
        side_rgb = self.paint if self.sides == self.colour else ALL_COLOURS[self.sides]
        rough = 0.55 - 0.3 * self.gloss
        return Model(
            shape,
            {
                "paint": Surface(self.paint, rough, coat=self.gloss),
                "ink": Surface(ALL_COLOURS[ink], rough, coat=self.gloss),
                "sides": Surface(side_rgb, rough, coat=self.gloss),
            },
        )
