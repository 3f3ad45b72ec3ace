"""Biscuits, standing a little tilted with their face to the front: plain, iced, chipped, filled."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, shade
from packshot_pocket.scenes.shape import Array, Shape
from packshot_pocket.scenes.things.model import Model, Surface

FORMS = ("round", "square", "heart", "star", "oval", "flower")
TOPS = ("holes", "chips", "icing", "stripes", "plain")
BAKED: dict[str, Colour] = {"pale": (0.62, 0.36, 0.13), "tan": (0.46, 0.22, 0.06)}
CHOCOLATE: Colour = (0.055, 0.018, 0.007)
ICINGS = ("pink", "white", "yellow", "green", "blue", "red", "orange")
_AROUND, _RINGS = 120, 34


@dataclass(frozen=True)
class Biscuit:
    """A biscuit. Lengths in shares of its half width."""

    noun: ClassVar[str] = "biscuit"
    flat: ClassVar[bool] = False
    colour: str  # of what covers its face
    dough: Colour
    form: str  # one of FORMS
    top: str  # one of TOPS
    icing: str  # a colour's name
    filling: str | None  # a colour's name: two biscuits with cream between them
    wavy: int  # waves round the edge
    thickness: float
    lean_degrees: float
    scattered: int  # seeds chips and sprinkles

    @classmethod
    def draw(cls, rng: random.Random) -> Biscuit:
        """A random one."""
        top = rng.choices(TOPS, (24, 22, 30, 12, 12))[0]
        icing, dark = rng.choice(ICINGS), rng.random() < 0.3
        return cls(
            colour=icing if top == "icing" else "brown",
            dough=CHOCOLATE if dark and top != "chips" else BAKED[rng.choice(tuple(BAKED))],
            form=rng.choices(FORMS, (34, 20, 14, 12, 10, 10))[0],
            top=top,
            icing=icing,
            filling=rng.choice(ICINGS) if rng.random() < 0.3 else None,
            wavy=rng.choice((0, 0, rng.randint(16, 30))),
            thickness=rng.uniform(0.12, 0.22),
            lean_degrees=rng.uniform(8, 22),
            scattered=rng.getrandbits(32),
        )

    def details(self) -> list[str]:
        """What is on it and in it."""
        said = {
            "holes": ["small holes"],
            "chips": ["chocolate chips"],
            "icing": [f"{self.icing} icing and sprinkles"],
            "stripes": [f"{self.icing} stripes"],
            "plain": [],
        }[self.top]
        return said + ([f"a {self.filling} cream filling"] if self.filling else [])

    def model(self) -> Model:
        """One biscuit or two and their filling, turned up and put on the ground."""
        shape, thick = Shape(), self.thickness
        if self.filling:
            self._disc(shape, -1.9 * thick, -0.9 * thick, 1.0, "dough")
            self._disc(shape, -0.9 * thick, 0.0, 0.93, "filling")
        self._disc(shape, 0.0, thick, 1.0, "dough")
        self._top(shape, thick)
        lean = np.radians(90 - self.lean_degrees)
        # The face looks up (z) and its upper end is at -x; lifted, it looks to x.
        turn = np.array(
            [[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]]
        )
        vertices = np.concatenate(shape.vertices) @ turn.T
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        shape.vertices = [vertices - [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]]
        icing = shade(self.icing, random.Random(self.scattered))
        return Model(
            shape,
            {
                "dough": Surface(self.dough, 0.85),
                "dark": Surface(darker(self.dough, 0.25), 0.9),
                "chip": Surface(CHOCOLATE, 0.45),
                "icing": Surface(icing, 0.35, coat=0.3),
                "filling": Surface(ALL_COLOURS[self.filling or "white"], 0.6),
                **{f"sprinkle{k}": Surface(ALL_COLOURS[n], 0.4) for k, n in enumerate(ICINGS)},
            },
        )

    def _reach(self, turn: Array) -> Array:
        """The outline's distance from the middle at each angle; 0 is the upper end."""
        if self.form == "square":
            out = (np.abs(np.cos(turn)) ** 7 + np.abs(np.sin(turn)) ** 7) ** (-1 / 7) * 0.88
        elif self.form == "oval":
            out = 1 / np.hypot(np.cos(turn), np.sin(turn) / 0.62)
        elif self.form == "flower":
            out = 0.85 + 0.15 * np.cos(6 * turn)
        elif self.form == "star":
            out = 0.76 + 0.24 * np.cos(5 * turn)
        elif self.form == "heart":
            away = np.abs(np.mod(turn + np.pi, 2 * np.pi) - np.pi)  # from the notch
            out = np.interp(away, (0, 0.25, 0.6, 1.1, 1.7, 2.4, 2.9, np.pi),
                            (0.55, 0.78, 0.95, 0.98, 0.88, 0.84, 0.97, 1.05))  # fmt: skip
        else:
            out = np.ones_like(turn)
        return out * (1 + 0.035 * np.cos(self.wavy * turn) if self.wavy else 1)

    def _disc(self, shape: Shape, low: float, high: float, share: float, material: str) -> None:
        """A rounded slab of the outline between two heights."""
        turn = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
        edge = self._reach(turn) * share
        round_ = 0.3 * (high - low)
        rows = [(0.001, low), (0.97, low), (1, low + round_), (1, high - round_), (0.965, high)]
        points = [
            np.stack((-np.cos(turn) * edge * r, np.sin(turn) * edge * r, np.full(_AROUND, z)), -1)
            for r, z in [*rows, (0.001, high)]
        ]
        shape.grid(np.array(points), material, wrap=True)

    def _inside(self, count: int, reach: float, rng: np.random.Generator) -> Array:
        """Places [count, 2] spread evenly over the face, as far out as a share of its outline."""
        number = np.arange(count) + 0.5
        turn = number * 2.39996 + rng.uniform(0, 6)
        out = np.sqrt(number / count) * reach * self._reach(turn)
        return np.stack((-np.cos(turn) * out, np.sin(turn) * out), -1)

    def _top(self, shape: Shape, z: float) -> None:
        rng = np.random.default_rng(self.scattered)
        if self.top == "icing":
            self._disc(shape, z - 0.02, z + 0.05, rng.uniform(0.8, 0.92), "icing")
            for k in range(len(ICINGS)):
                places = self._inside(7, 0.72, rng)
                self._bits(shape, places, z + 0.05, (0.055, 0.018, 0.018), f"sprinkle{k}", rng)
        elif self.top == "chips":
            self._bits(shape, self._inside(19, 0.82, rng), z, (0.10, 0.09, 0.05), "chip", rng)
        elif self.top == "holes":
            self._bits(shape, self._inside(17, 0.75, rng), z, (0.045, 0.045, 0.004), "dark", rng)
        elif self.top == "stripes":
            for x in np.arange(-0.7, 0.71, 0.28):
                turn = np.arccos(np.clip(-x, -1, 1))
                half = 0.85 * float(np.sin(turn) * self._reach(np.array([turn]))[0])
                shape.box((x - 0.06, -half, z - 0.01), (x + 0.06, half, z + 0.025), "icing")

    def _bits(
        self,
        shape: Shape,
        places: Array,
        z: float,
        size: tuple[float, float, float],
        material: str,
        rng: np.random.Generator,
    ) -> None:
        """Flattened balls at places on the face."""
        part, bend = Shape(), np.linspace(-np.pi / 2, np.pi / 2, 7)
        profile = np.stack((np.cos(bend) + 1e-3, np.sin(bend)), -1)
        part.lathe(profile, (0, 0, 0), material, axis=2, segments=10)
        where = np.concatenate((places, np.full((len(places), 1), z)), 1)
        sizes = np.array(size) * rng.uniform(0.8, 1.2, (len(places), 1))
        shape.scatter(part, where, sizes, rng.uniform(0, 2 * np.pi, len(places)))


def darker(rgb: Colour, factor: float) -> Colour:
    """A darker shade of a colour."""
    red, green, blue = (factor * channel for channel in rgb)
    return red, green, blue
