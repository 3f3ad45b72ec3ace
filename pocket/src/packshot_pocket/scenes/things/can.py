"""Cans: drinks cans with a neck and a tab on the lid, and straight tins with rims."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, differ, shade
from packshot_pocket.scenes.shape import Array, Shape
from packshot_pocket.scenes.things.model import Model, Surface
from packshot_pocket.scenes.things.prints import MANY, Print

_FACES = 18_000  # of the printed wall
_RADII = {"standard": (0.27, 0.31), "slim": (0.19, 0.23), "stubby": (0.34, 0.42)}
_ALL_OVER = ("band", "sash", *MANY)  # motifs that run from rim to rim

# Profiles as (radius, height), in radii of the wall; a lid's heights count from the top.
_FOOT = np.array([(0, 0.12), (0.45, 0.09), (0.66, 0.03), (0.71, 0), (0.77, 0), (0.83, 0.03)])
_LID_RIM = [(0.78, -0.13), (0.83, -0.12), (0.845, -0.09), (0.84, -0.02), (0.825, 0), (0.8, 0)]
_LID = np.array([*_LID_RIM, (0.78, -0.02), (0.74, -0.15), (0.7, -0.16), (0.67, -0.08), (0, -0.08)])
_RIM = np.array([(0.98, 0.1), (1.03, 0.08), (1.04, 0.02), (1.02, 0), (0.98, 0), (0.96, 0.08)])
_TIN_LID = np.array([(0.8, 0.1), (0.77, 0.07), (0.6, 0.07), (0.57, 0.1), (0, 0.1)])
_TIN_END = np.concatenate((_RIM, _TIN_LID))


def _ease(share: Array) -> Array:
    """From 0 to 1, flat at both ends."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class Can:
    """A drinks can or a tin. Lengths in shares of its height."""

    noun: ClassVar[str] = "can"
    flat: ClassVar[bool] = False
    colour: str
    paint: Colour
    printed: Print | None
    repeats: int  # of the print round the can; 1: only in front
    bottom: str  # a colour's name: the wall's lowest part, often the main colour
    bottom_share: float
    radius: float
    tin: bool
    ribs: int  # round a tin's wall
    bare: float  # a tin's metal above and below its label
    tab: str  # a colour's name
    tab_turn: float
    metallic: float
    gloss: float

    @classmethod
    def draw(cls, rng: random.Random) -> Can:
        """A random one."""
        colour = rng.choice(tuple(ALL_COLOURS))
        printed = Print.draw(rng, colour) if rng.random() < 0.85 else None
        ink = printed.ink if printed else colour
        others = [c for c in ALL_COLOURS if differ(c, colour) and (c == ink or differ(c, ink))]
        tin = rng.random() < 0.2
        radius = rng.uniform(0.30, 0.48) if rng.random() < 0.6 else rng.uniform(0.48, 0.75)
        if not tin:
            radius = rng.uniform(*_RADII[rng.choices(tuple(_RADII), (50, 28, 22))[0]])
        repeated = printed and printed.motif not in _ALL_OVER and rng.random() < 0.5
        return cls(
            colour=colour,
            paint=shade(colour, rng),
            printed=printed,
            repeats=max(3, round(5.5 * radius)) if repeated else 1,
            bottom=rng.choice(others) if rng.random() < 0.3 else colour,
            bottom_share=rng.uniform(0.2, 0.32),
            radius=radius,
            tin=tin,
            ribs=rng.choice((0, rng.randint(5, 9))) if tin else 0,
            bare=rng.uniform(0.02, 0.09) if tin else 0.0,
            tab=ink if rng.random() < 0.25 else "silver",
            tab_turn=rng.uniform(-np.pi, np.pi),
            metallic=rng.uniform(0.4, 0.9) if colour == "silver" or rng.random() < 0.4 else 0.0,
            gloss=rng.uniform(0, 0.8),
        )

    def details(self) -> list[str]:
        """The print and the bottom."""
        said = [self.printed.words()] if self.printed else []
        if self.bottom != self.colour:
            said.append(("an " if self.bottom[0] in "aeiou" else "a ") + f"{self.bottom} bottom")
        return said

    def model(self) -> Model:
        """A finely printed wall between metal ends."""
        shape, r = Shape(), self.radius
        foot, lid = (_TIN_END[::-1], _TIN_END * (1, -1)) if self.tin else (_FOOT, _LID)
        shape.lathe(foot * r, (0, 0, 0), "metal", axis=2, segments=64)
        shape.lathe(lid * r, (0, 0, 1), "metal", axis=2, segments=64)
        self._pull(shape)
        self._wall(shape)
        ink = self.printed.ink if self.printed else self.colour
        bottom_rgb = self.paint if self.bottom == self.colour else ALL_COLOURS[self.bottom]
        walls = {"paint": self.paint, "ink": ALL_COLOURS[ink], "bottom": bottom_rgb}
        rough = 0.5 - 0.25 * self.gloss
        surfaces = {n: Surface(c, rough, self.metallic, self.gloss) for n, c in walls.items()}
        surfaces["metal"] = Surface((0.62, 0.63, 0.65), 0.28, metal=1.0)
        surfaces["tab"] = Surface(ALL_COLOURS[self.tab], 0.3, metal=0.7)
        return Model(shape, surfaces)

    def _wall(self, shape: Shape) -> None:
        """The printed wall: one grid from foot to lid, the front in the middle of its picture."""
        r = self.radius
        low, high = (0.08 * r, 1 - 0.08 * r) if self.tin else (0.03 * r, 1 - 0.13 * r)
        aspect = 2 * np.pi * r / (high - low)
        rows = round((_FACES / aspect) ** 0.5)
        columns = round(rows * aspect / self.repeats) * self.repeats
        z = np.linspace(low, high, rows + 1)
        turn = np.linspace(-np.pi, np.pi, columns, endpoint=False)
        round_ = np.stack((np.cos(turn), np.sin(turn)), -1) * self._radii(z)[:, None, None]
        heights = np.broadcast_to(z[:, None, None], (rows + 1, columns, 1))
        points = np.concatenate((round_, heights), -1)
        where = self._picture((z[1:] + z[:-1]) / 2, columns)
        shape.printed(points, where, ("paint", "ink", "bottom", "metal"), wrap=True)

    def _radii(self, z: Array) -> Array:
        """The wall's radius at each height: ribs on a tin, else a tapered foot and a neck."""
        r = self.radius
        if self.tin:
            if not self.ribs:
                return np.full_like(z, r)
            share = (z - 0.2) / 0.6
            wave = 1 - np.cos(2 * np.pi * self.ribs * np.clip(share, 0, 1))
            return r - 0.035 / self.ribs * wave
        taper = 0.17 * np.clip(1 - z / (0.25 * r), 0, 1) ** 2
        neck = 0.22 * _ease((z - 1 + 0.5 * r) / (0.37 * r))
        return r * (1 - taper - neck)

    def _picture(self, z: Array, columns: int) -> Array:
        """What covers the wall at each height and column: an index of paint, ink, bottom, metal."""
        r = self.radius
        low, high = (self.bare, 1 - self.bare) if self.tin else (0.2 * r, 1 - 0.4 * r)
        edge = low + self.bottom_share * (high - low) if self.bottom != self.colour else low
        where = np.zeros((len(z), columns), int)
        if self.printed:
            if self.printed.motif not in _ALL_OVER:  # small enough to be seen whole from the front
                tall = (2.9 if self.repeats == 1 else 2.2) * r
                spare = max(0.0, high - edge - tall) / 2
                label = (z > edge + spare) & (z < high - spare)
            else:
                label = (z > edge) & (z < (high if self.tin else 1))
            rows, width = int(label.sum()), columns // self.repeats
            aspect = 2 * np.pi * r / self.repeats / (rows * (z[1] - z[0]))
            once = self.printed.picture(rows, width, aspect)
            where[label] = np.roll(np.tile(once, self.repeats), columns // 2 - width // 2, axis=1)
        if self.bottom != self.colour:
            where[z < edge] = 2
        if self.tin:
            where[(z < low) | (z > high)] = 3
        return where

    def _pull(self, shape: Shape) -> None:
        """The tab or ring on the lid."""
        r, part = self.radius, Shape()
        ring = np.array([(0.13, 0), (0.13, 0.03), (0.2, 0.04), (0.24, 0.03), (0.24, 0)])
        part.lathe(ring, (0, 0, 0), "tab", axis=2, segments=32)
        part.lathe(np.array([(0.07, 0.03), (0, 0.03)]), (0.21, 0, 0), "tab", axis=2, segments=12)
        forward = np.array([np.cos(self.tab_turn), np.sin(self.tab_turn), 0])
        up = np.array([0, 0, 1 - 0.075 * r])
        turn = np.array([self.tab_turn])
        place = (up - forward * (0.5 if self.tin else 0.15) * r)[None]
        shape.scatter(part, place, np.array([(1.3, 0.85, 1)]) * r, turn)
