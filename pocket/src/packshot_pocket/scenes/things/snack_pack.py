"""Snack packs: bulged, slightly wrinkled pouches with crimped seams, standing upright."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, differ, shade
from packshot_pocket.scenes.shape import Array, Shape
from packshot_pocket.scenes.things.model import Model, Surface
from packshot_pocket.scenes.things.prints import MANY, Print

_ROWS, _COLUMNS = 120, 92  # faces of the front
_SEAM = 0.055  # a seam's share of the height
_TAN, _LIGHT, _DARK = 3, 4, 5  # indices of a food's tones in the front's picture
_TONES: dict[str, tuple[Colour, Colour, Colour]] = {
    "chips": ((0.74, 0.42, 0.10), (0.86, 0.58, 0.20), (0.26, 0.10, 0.02)),
    "a biscuit": ((0.52, 0.25, 0.07), (0.66, 0.37, 0.13), (0.10, 0.035, 0.012)),
    "nuts": ((0.50, 0.24, 0.08), (0.66, 0.38, 0.16), (0.16, 0.06, 0.02)),
}
_TOO_CLOSE = ("yellow", "orange", "brown")  # to the foods' tones


def _heap(x: Array, y: Array, piece: float, seed: int) -> Array:
    """Pieces of food heaped on top of each other in -1..1: indices of tones, 0 beside them."""
    rng, tones = np.random.default_rng(seed), np.zeros(x.shape, int)
    for height in np.arange(0.75, -1.01, -0.75 * piece):  # from behind to the front
        reach = 0.95 - 0.55 * (height + 1) / 2
        for place in np.arange(-reach, reach + 0.01, 1.3 * piece) + rng.uniform(-0.1, 0.1):
            turn, size = rng.uniform(-0.9, 0.9), piece * rng.uniform(0.85, 1.15)
            u, v = x - place, y - height + rng.uniform(-0.1, 0.1)
            along, across = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
            inside = np.hypot(along / size, across / size / 0.68)
            tones[inside < 1] = _DARK
            tones[inside < 0.82] = rng.choice((_TAN, _LIGHT))
    return tones


def _biscuit(x: Array, y: Array) -> Array:
    """A round biscuit with dark chips in -1..1: indices of tones, 0 beside it."""
    radius = np.hypot(x, y)
    tones = np.where(radius < 0.86, _LIGHT, np.where(radius < 1, _TAN, 0))
    for number in range(9):
        turn, out = number * 2.4, 0.26 * number**0.5
        chip = np.hypot(x - out * np.cos(turn), y - out * np.sin(turn)) < 0.13
        tones[chip] = _DARK
    return tones


@dataclass(frozen=True)
class SnackPack:
    """A pillow pouch. Lengths in shares of its height."""

    noun: ClassVar[str] = "snack pack"
    flat: ClassVar[bool] = False
    colour: str
    paint: Colour
    printed: Print | None
    top: str  # a colour's name: the uppermost part, often the main colour
    top_share: float
    top_arch: float  # how far the middle of its lower edge is above or below its ends
    food: str | None  # what is pictured, one of _TONES
    width: float
    depth: float
    silver_seams: bool
    teeth: int  # along a seam's end; 0: straight
    lean_degrees: float
    crumple: int  # seeds wrinkles
    metallic: float
    gloss: float

    @classmethod
    def draw(cls, rng: random.Random) -> SnackPack:
        """A random one."""
        colour = rng.choice(tuple(ALL_COLOURS))
        printed = Print.draw(rng, colour) if rng.random() < 0.8 else None
        ink = printed.ink if printed else colour
        others = [c for c in ALL_COLOURS if differ(c, colour) and differ(c, ink)]
        shows = colour not in _TOO_CLOSE and ink not in _TOO_CLOSE
        foil = rng.random() < 0.3 or colour == "silver"
        return cls(
            colour=colour,
            paint=shade(colour, rng),
            printed=printed,
            top=rng.choice(others) if rng.random() < 0.45 else colour,
            top_share=rng.uniform(0.2, 0.4),
            top_arch=rng.choice((0.0, rng.uniform(-0.1, 0.1))),
            food=rng.choice(tuple(_TONES)) if shows and rng.random() < 0.45 else None,
            width=rng.uniform(0.58, 0.92),
            depth=rng.uniform(0.22, 0.36),
            silver_seams=rng.random() < 0.3,
            teeth=rng.choice((0, rng.randint(14, 20))),
            lean_degrees=rng.uniform(1, 8),
            crumple=rng.getrandbits(32),
            metallic=rng.uniform(0.4, 0.8) if foil else 0.0,
            gloss=rng.choice((rng.uniform(0, 0.2), rng.uniform(0.5, 1))),
        )

    def details(self) -> list[str]:
        """The print, the top and the pictured food."""
        said = [self.printed.words()] if self.printed else []
        if self.top != self.colour:
            said.append(("an " if self.top[0] in "aeiou" else "a ") + f"{self.top} top")
        return said + ([f"a picture of {self.food}"] if self.food else [])

    def model(self) -> Model:
        """A printed front and a plainer back, leaning."""
        shape, names = Shape(), ("paint", "ink", "top", "tan", "light", "dark", "seam")
        across, up = self._places()
        pictures = (self._picture(across, up), self._ground(across, up))
        for side, picture in zip((1, -1), pictures, strict=True):
            shape.printed(self._leaning(self._face(side)), picture, names)
        ink = self.printed.ink if self.printed else self.colour
        rgbs = {
            "paint": self.paint,
            "ink": ALL_COLOURS[ink],
            "top": self.paint if self.top == self.colour else ALL_COLOURS[self.top],
            **dict(zip(names[3:6], _TONES[self.food or "chips"], strict=True)),
        }
        rough = 0.52 - 0.3 * self.gloss
        surfaces = {n: Surface(c, rough, self.metallic, self.gloss) for n, c in rgbs.items()}
        surfaces["seam"] = Surface((0.6, 0.6, 0.62), 0.3, metal=0.9)
        return Model(shape, surfaces)

    def _face(self, side: int) -> Array:
        """The front (1) or the back (-1) upright, as a grid: bulged between the two seams."""
        rng = np.random.default_rng((self.crumple, side + 1))
        s = np.linspace(-1, 1, _COLUMNS + 1)[None]
        up = np.linspace(0, 1, _ROWS + 1)[:, None]
        across = 1.2 * s - 0.2 * s**3  # finer towards the edges
        inside = np.clip((up - _SEAM) / (1 - 2 * _SEAM), 0, 1)
        swell = np.sin(np.pi * inside**0.88) ** 0.7  # what's in it has sunk a little
        buckle = 0.012 * np.cos(2 * np.pi * (4 * up + self.crumple % 7 / 7)) * swell
        y = self.width / 2 * (1 - 0.1 * swell**2 + buckle) * across
        bulge = self.depth / 2 * swell * (1 - across**2) ** 0.55
        soft = (1 - across**2) * swell  # no wrinkles where front and back meet
        ribs = 0.004 * np.sin(36 * np.pi * s) * (swell == 0)
        fold = 0.008 * (np.abs(across - 0.05) < 0.06) * (side < 0)  # down the back's middle
        gap = 0.003 * (1 - across**2) + fold  # the two never touch but at the edges
        x = side * (gap + bulge + soft * self._wrinkles(across, up, rng)) + ribs
        cut = 0.032 * np.abs(np.mod(s * self.teeth / 2, 1) - 0.5) if self.teeth else 0 * s
        end = np.clip(1 - np.minimum(up, 1 - up) / _SEAM, 0, 1) * np.sign(up - 0.5)
        return np.stack(np.broadcast_arrays(x, y, up - end * cut), -1)

    def _wrinkles(self, across: Array, up: Array, rng: np.random.Generator) -> Array:
        """Pleats that run out from the seams, and dents all over."""
        height = np.zeros(np.broadcast_shapes(across.shape, up.shape))
        for gap in (up - _SEAM, 1 - _SEAM - up):
            fade = np.exp(-np.clip(gap, 0, 1) / 0.16)
            for waves in rng.uniform(5, 17, 4):
                height += 0.012 * fade * np.cos(waves * across + rng.uniform(0, 7))
        for _ in range(5):
            tilt = rng.uniform(-7, 7, 2)
            height += 0.005 * np.cos(tilt[0] * across + tilt[1] * up + rng.uniform(0, 7))
        return height

    def _leaning(self, points: Array) -> Array:
        """Points of the upright pack where they are when it leans back on its lower seam."""
        cos, sin = np.cos(np.radians(self.lean_degrees)), np.sin(np.radians(self.lean_degrees))
        x, y, z = np.moveaxis(points, -1, 0)
        return np.stack((x * cos - (z - 0.5) * sin, y, z * cos + x * sin), -1)

    def _places(self) -> tuple[Array, Array]:
        """Where the middles of the front's faces are: -1..1 across, 0..1 up."""
        s = (np.arange(_COLUMNS) + 0.5) / _COLUMNS * 2 - 1
        across, up = np.meshgrid(1.2 * s - 0.2 * s**3, (np.arange(_ROWS) + 0.5) / _ROWS)
        return across, up

    def _ground(self, across: Array, up: Array) -> Array:
        """The paint, the top part and the seams."""
        where = np.zeros(across.shape, int)
        if self.top != self.colour:
            where[up > 1 - self.top_share + self.top_arch * (1 - across**2)] = 2
        if self.silver_seams:
            where[np.abs(up - 0.5) > 0.5 - _SEAM] = 6
        return where

    def _picture(self, across: Array, up: Array) -> Array:
        """The front: the ground, on it the print, on that the food; the seams stay bare."""
        ground = self._ground(across, up)
        inked = self._inked()
        if self.printed and self.printed.motif in MANY:
            inked &= ground != 2  # a pattern leaves the top part alone
        where = np.where(inked, 1, ground)
        tones = self._pictured(across, up)
        where = np.where(tones > 0, tones, where)
        return np.where(np.abs(up - 0.5) > 0.5 - _SEAM, ground, where)

    def _inked(self) -> Array:
        """Where the front's ink is: a pattern all over, a motif as large as there is room for."""
        inked = np.zeros((_ROWS, _COLUMNS), bool)
        if not self.printed:
            return inked
        tall, middle = 1.0, 0.5
        if self.printed.motif not in MANY:
            tall = min(0.64 if self.food else 1.0, 1.35 * self.width)
            middle = 0.65 if self.food else 0.5
        rows, first = round(_ROWS * tall), round(_ROWS * (middle - tall / 2))
        inked[first : first + rows] = self.printed.picture(rows, _COLUMNS, self.width / tall) == 1
        return inked

    def _pictured(self, across: Array, up: Array) -> Array:
        """The food in the front's lower half: indices of tones, 0 elsewhere."""
        if not self.food:
            return np.zeros(up.shape, int)
        size = min(0.22, 0.32 * self.width)
        x, y = across * self.width / 2 / size, (up - 0.08 - size) / size
        if self.food == "a biscuit":
            return _biscuit(x, y)
        return _heap(0.8 * x, y, 0.34 if self.food == "chips" else 0.2, self.crumple)
