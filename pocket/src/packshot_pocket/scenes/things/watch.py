"""Wristwatches: a strap or bracelet closed to a ring, a case at its front, a dial tilted back."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import cos, pi, radians, sin
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, shade
from packshot_pocket.scenes.shape import Array, Shape
from packshot_pocket.scenes.things.model import Model, Surface

STRAPS = ("leather", "rubber", "links")
METALS: dict[str, Surface] = {
    "silver": Surface((0.56, 0.57, 0.59), 0.36, 1.0),
    "gold": Surface((0.80, 0.50, 0.16), 0.34, 1.0),
    "black": Surface((0.012, 0.012, 0.014), 0.3, 0.4, 0.4),
}
PALE = ("white", "silver", "yellow", "pink", "orange")  # dials whose hands are dark
_AROUND = 72  # segments of the case
_LINKS = 26  # of a bracelet, all the way round
# The strap's cross-section: shares of half its width and of half its thickness, round the outside.
_ACROSS = np.array([-1, -0.93, -0.84, -0.76, -0.35, 0.35, 0.76, 0.84, 0.93, 1, 1, -1])
_DEPTH = np.array([0.3, 0.8, 0.9, 0.95, 1, 1, 0.95, 0.9, 0.8, 0.3, -0.5, -0.5])

# Below, x points out of the dial, z to twelve o'clock and y to three; lengths are millimetres.


@dataclass(frozen=True)
class Watch:
    """A wristwatch. Lengths in millimetres."""

    noun: ClassVar[str] = "watch"
    flat: ClassVar[bool] = False
    colour: str  # the strap's
    paint: Colour
    strap: str  # one of STRAPS
    case: str  # one of METALS
    dial: str
    bezel: str  # a colour's name, or "" for the case's metal
    square: bool
    radius: float  # of the case
    tall: float  # its height over its width
    strap_width: float
    ring: tuple[float, float]  # half the ring's depth and height
    marks: str  # "bars", "dots" or "quarters"
    time: float  # hours after twelve
    seconds: str  # a colour's name, or "" for two hands
    subdials: bool
    tilt_degrees: float

    @classmethod
    def draw(cls, rng: random.Random) -> Watch:
        """A random one."""
        strap = rng.choices(STRAPS, (42, 34, 24))[0]
        links = strap == "links"
        colour = rng.choice(("silver", "silver", "black") if links else tuple(ALL_COLOURS))
        case = rng.choices(tuple(METALS), (50, 25, 25))[0]
        if links and rng.random() < 0.75:
            case = colour
        bezels = [name for name in ("black", "blue", "red", "green") if name != case]
        square = rng.random() < 0.3
        dial = rng.choice((*ALL_COLOURS, "white", "white", "black", "black"))
        wide_bezel = not square and rng.random() < 0.3
        radius = rng.uniform(17, 20) if square else rng.uniform(18.5, 23)
        return cls(
            colour=colour,
            paint=shade(colour, rng),
            strap=strap,
            case=case,
            dial=dial,
            bezel=rng.choice(bezels) if wide_bezel else "",
            square=square,
            radius=radius,
            tall=rng.uniform(1.0, 1.25) if square else 1.0,
            strap_width=radius * rng.uniform(1.0, 1.3),
            ring=(rng.uniform(23, 28), radius + rng.uniform(10, 15)),
            marks=rng.choice(("bars", "bars", "dots", "quarters")),
            time=rng.choice((10 + 9 / 60, 1 + 50 / 60, rng.uniform(0, 12))),
            seconds=rng.choice(("", "red", "orange", "same")),
            subdials=not square and rng.random() < 0.25,
            tilt_degrees=rng.uniform(20, 35),
        )

    def details(self) -> list[str]:
        """The dial, the case and a coloured bezel."""
        said = [f"a {self.dial} dial" if self.dial != "orange" else "an orange dial"]
        said.append(f"a {self.case} case")
        return said + ([f"a {self.bezel} bezel"] if self.bezel else [])

    def model(self) -> Model:
        """The parts with the dial upright, then all of it tilted back and put on the table."""
        shape = Shape()
        self._case(shape)
        self._dial(shape)
        self._lugs_and_crown(shape)
        self._strap(shape)
        tilt = radians(self.tilt_degrees)
        turn = np.array([[cos(tilt), 0, -sin(tilt)], [0, 1, 0], [sin(tilt), 0, cos(tilt)]])
        vertices = np.concatenate(shape.vertices) @ turn.T
        low, high = vertices.min(0), vertices.max(0)
        vertices -= ((low[0] + high[0]) / 2, 0, low[2])
        shape.vertices = [vertices]
        return Model(shape, self._surfaces())

    def _surfaces(self) -> dict[str, Surface]:
        ink: Colour = (0.012, 0.012, 0.014) if self.dial in PALE else (0.85, 0.85, 0.82)
        hand = ink if self.seconds in ("", "same", self.dial) else ALL_COLOURS[self.seconds]
        links = self.strap == "links"
        strap = Surface(self.paint, 0.5 if self.strap == "leather" else 0.65)
        thread: Colour = (0.10, 0.08, 0.07) if self.colour in PALE else (0.75, 0.70, 0.60)
        return {
            "case": METALS[self.case],
            "bezel": Surface(ALL_COLOURS[self.bezel or "black"], 0.3, coat=0.5),
            "dial": Surface(ALL_COLOURS[self.dial], 0.4, coat=0.3),
            "ink": Surface(ink, 0.35),
            "hand": Surface(hand, 0.35),
            "strap": METALS[self.colour] if links else strap,
            "thread": METALS[self.case] if links else Surface(thread, 0.7),
        }

    def _outline(self, reach: float, x: float) -> Array:
        """The case's outline [_AROUND, 3] at a share of its radius and a height x."""
        turn = np.linspace(0, 2 * pi, _AROUND, endpoint=False) + pi / 4
        power = 5.0 if self.square else 2.0
        out = (np.abs(np.cos(turn)) ** power + np.abs(np.sin(turn)) ** power) ** (-1 / power)
        out *= reach * self.radius
        return np.stack(
            (np.full(_AROUND, x), out * np.cos(turn), out * np.sin(turn) * self.tall), 1
        )

    def _turned(self, shape: Shape, profile: list[tuple[float, float]], material: str) -> None:
        """A piece with the case's outline, from a profile of (share of the radius, x)."""
        rings = np.stack([self._outline(reach, x) for reach, x in profile])
        shape.grid(rings, material, wrap=True)

    @property
    def _face(self) -> float:
        """The dial's x."""
        return self.ring[0] + 3.0

    @property
    def _inside(self) -> float:
        """The dial's share of the radius."""
        return 0.70 if self.bezel else 0.84

    def _case(self, shape: Shape) -> None:
        x, inside = self._face, self._inside
        self._turned(shape, [(0.001, x - 9), (0.85, x - 9), (0.97, x - 7.5), (1, x - 6)], "case")
        self._turned(shape, [(1, x - 6), (1, x - 1.5), (0.98, x - 0.2), (0.95, x + 0.6)], "case")
        rim = "bezel" if self.bezel else "case"
        self._turned(shape, [(0.95, x + 0.6), (inside + 0.03, x + 1.4)], rim)
        self._turned(shape, [(inside + 0.03, x + 1.4), (inside, x + 1.4), (inside, x)], "case")
        if self.bezel:
            self._around(shape, 12, (0.80, 0.90), 0.5, x + 1.0, "ink")

    def _dial(self, shape: Shape) -> None:
        x, inside = self._face, self._inside
        self._turned(shape, [(inside, x), (0.001, x)], "dial")
        long = {"bars": 0.72, "dots": 0.78, "quarters": 0.62}[self.marks]
        count = 4 if self.marks == "quarters" else 12
        wide = 1.1 if self.marks == "dots" else 0.75
        self._around(shape, count, (inside * long, inside * 0.93), wide, x + 0.2, "ink")
        if self.subdials:
            away = 0.44 * inside * self.radius
            for y, z in ((away, 0), (0, -away), (-away, 0)):
                for reach, lift, material in ((4.2, 0.15, "ink"), (3.3, 0.3, "dial")):
                    disc = np.array([[reach, lift], [0.01, lift]])
                    shape.lathe(disc, (x, y, z), material, axis=0)
        hour, minute = self.time / 12 * 2 * pi, self.time % 1 * 2 * pi
        self._hand(shape, hour, (-0.10, 0.52), 1.25, 0.5, "ink")
        self._hand(shape, minute, (-0.12, 0.82), 0.95, 0.8, "ink")
        if self.seconds:
            self._hand(shape, self.time * 29.0, (-0.2, 0.86), 0.5, 1.1, "hand")
        pin = np.array([[1.7, 0.0], [1.7, 1.2], [0.01, 1.3]])
        shape.lathe(pin, (x, 0, 0), "hand" if self.seconds else "ink", axis=0)

    def _hand(
        self,
        shape: Shape,
        angle: float,
        span: tuple[float, float],
        wide: float,
        lift: float,
        ink: str,
    ) -> None:
        """A hand from behind the pin to near the marks, clockwise from twelve."""
        size = self._inside * self.radius
        low, high = (share * size for share in span)
        self._bar(shape, angle, (low, high), (wide, wide * 0.7), self._face + lift, ink)

    def _around(
        self, shape: Shape, count: int, span: tuple[float, float], wide: float, x: float, ink: str
    ) -> None:
        """Marks round the dial, from one share of the radius to another along the outline."""
        for k in range(count):
            angle = 2 * pi * k / count
            stretch = 1.0
            if self.square:  # marks follow the square's sides
                stretch = 0.97 / max(abs(sin(angle)), abs(cos(angle)))
            low, high = (share * self.radius * stretch for share in span)
            strong = wide * (1.5 if k % (count // 4) == 0 else 1)
            self._bar(shape, angle, (low, high), (strong, strong), x, ink)

    def _bar(
        self,
        shape: Shape,
        angle: float,
        span: tuple[float, float],
        wide: tuple[float, float],
        x: float,
        material: str,
    ) -> None:
        """A thin flat bar on the dial along a direction, `wide` half as wide at start and end."""
        out = np.array([0, sin(angle), cos(angle) * self.tall])
        side = np.array([0, cos(angle), -sin(angle)])
        (low, high), (start, end) = span, wide
        corners = [out * low - side * start, out * low + side * start]
        corners += [out * high + side * end, out * high - side * end]
        shape.add(np.array(corners) + np.array([x, 0, 0]), np.array([[0, 1, 2, 3]]), material)

    def _lugs_and_crown(self, shape: Shape) -> None:
        x, half = self._face, self.strap_width / 2
        start = self._ring_points(np.array([self._start]))[0]
        for up in (1, -1):
            for side in (1, -1):
                near = np.array([x - 4.5, side * half, up * self.radius * self.tall * 0.72])
                far = np.array([start[0] - 0.5, side * half, up * (start[1] + 1.0)])
                _prism(shape, near, far, (3.2, 2.0), (2.8, 1.6), "case")
        crown = np.array([[2.4, -1.0], [2.4, 2.6], [1.8, 3.4], [0.01, 3.4]])
        shape.lathe(crown, (x - 4, self.radius, 0), "case", segments=12)
        for z in (-9, 9) if self.subdials else ():
            y = (self.radius**2 - 81) ** 0.5
            shape.lathe(crown * (0.7, 1), (x - 4, y, z), "case", segments=12)

    @property
    def _start(self) -> float:
        """The angle on the ring at which the strap leaves the case."""
        reach = (self.radius * self.tall + 1.2) / (self.ring[1] * self.tall)
        return float(np.arcsin(min(0.97, reach)))

    def _ring_points(self, turn: Array) -> Array:
        """Points (x, z) on the ring, from the dial's middle at 0 over the top."""
        deep, high = self.ring
        return np.stack((deep * np.cos(turn), high * self.tall * np.sin(turn)), -1)

    def _strap(self, shape: Shape) -> None:
        turn = np.linspace(self._start, 2 * pi - self._start, _LINKS * 8 + 1)
        where = np.zeros((len(turn) - 1, len(_ACROSS)), int)
        if self.strap == "links":  # each bulges, with a groove to the next
            thick = 2.6 + 1.4 * np.sqrt(np.abs(np.sin(pi * np.linspace(0, _LINKS, len(turn)))))
            where[:, 4] = 1
        else:  # padded towards the case
            thick = 3.2 + 1.8 * np.cos(turn / 2) ** 2
            where[:, [2, 6]] = (np.arange(len(where)) % 4 < 3)[:, None] & (self.strap == "leather")
        shape.printed(self._swept(turn, thick), where, ("strap", "thread"), wrap=True)
        if self.strap == "links":
            extras = [(pi, 0.35, 0.2, 4.8, "case")]
        else:  # a buckle, and the loop that keeps the strap's end
            extras = [(pi + 0.38, 0.13, 1.6, 5.6, "case"), (pi - 0.18, 0.08, 0.9, 5.0, "strap")]
        for middle, reach, wider, high, material in extras:
            turn = np.linspace(middle - reach, middle + reach, 9)
            shape.grid(self._swept(turn, np.full(9, high), wider), material, wrap=True)

    def _swept(self, turn: Array, thick: Array, wider: float = 0.0) -> Array:
        """The strap's cross-section along the ring [len(turn), len(_ACROSS), 3]."""
        deep, high = self.ring[0], self.ring[1] * self.tall
        out = np.stack((high * np.cos(turn), deep * np.sin(turn)), -1)
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        offset = (_DEPTH * thick[:, None] / 2)[..., None]
        x, z = np.moveaxis(self._ring_points(turn)[:, None] + out[:, None] * offset, -1, 0)
        half = self.strap_width / 2 * (1 - 0.2 * np.abs(np.sin(turn / 2))) + wider
        return np.stack((x, half[:, None] * _ACROSS, z), -1)


def _prism(
    shape: Shape,
    near: Array,
    far: Array,
    near_size: tuple[float, float],
    far_size: tuple[float, float],
    material: str,
) -> None:
    """A bar between two points with half sizes (thickness, width) at each end."""
    ends = []
    for point, (thick, wide) in ((near, near_size), (far, far_size)):
        square = [(1, 1), (1, -1), (-1, -1), (-1, 1)]
        ends.append([point + np.array([a * thick, b * wide, 0]) for a, b in square])
    shape.grid(np.array(ends), material, wrap=True)
    shape.add(np.array(ends[1]), np.array([[0, 1, 2, 3]]), material)
