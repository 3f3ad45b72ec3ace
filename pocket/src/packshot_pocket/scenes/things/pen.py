"""Pens: ballpoints, capped fountain pens, markers and six-sided sticks, lying on the table."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import pi
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, differ, shade
from packshot_pocket.scenes.shape import Shape
from packshot_pocket.scenes.things.model import Model, Surface
from packshot_pocket.scenes.things.watch import METALS

KINDS = ("ballpoint", "fountain", "marker", "stick")
Profile = list[tuple[float, float]]  # (radius, place along the pen from tip to end)

# Below, y runs along the pen from its tip at 0 to its end at 1; radii are shares of the barrel's.


@dataclass(frozen=True)
class Pen:
    """A pen that lies on the table. Lengths in shares of its length."""

    noun: ClassVar[str] = "pen"
    flat: ClassVar[bool] = True
    colour: str  # the barrel's
    paint: Colour
    kind: str  # one of KINDS
    accent: str  # a colour's name: the cap, the grip or the button
    trim: str  # one of METALS: clip, tip and rings
    radius: float
    open: bool  # whether a cap is off and sits on the pen's other end
    grip: bool
    band: str  # a colour's name, or "" for none
    middle: float  # where the cap or the grip ends
    gloss: float
    roll: float  # how far the clip is turned from straight up

    @classmethod
    def draw(cls, rng: random.Random) -> Pen:
        """A random one."""
        kind = rng.choices(KINDS, (35, 25, 22, 18))[0]
        colour = rng.choice(tuple(ALL_COLOURS))
        others = [name for name in ALL_COLOURS if differ(name, colour)]
        thick = {"ballpoint": (0.045, 0.062), "marker": (0.058, 0.085)}.get(kind, (0.044, 0.060))
        return cls(
            colour=colour,
            paint=shade(colour, rng),
            kind=kind,
            accent=rng.choice(others) if rng.random() < 0.7 else colour,
            trim=rng.choices(tuple(METALS), (50, 25, 25))[0],
            radius=rng.uniform(*thick),
            open=kind in ("fountain", "marker") and rng.random() < 0.4,
            grip=kind == "ballpoint" and rng.random() < 0.6,
            band=rng.choice(others) if kind == "marker" and rng.random() < 0.5 else "",
            middle=rng.uniform(0.0, 1.0),
            gloss=rng.uniform(0, 0.7),
            roll=rng.uniform(-0.9, 0.9),
        )

    def details(self) -> list[str]:
        """What differs from the barrel: the cap, the grip or the button, the clip, a band."""
        said = []
        part = ("grip" if self.grip else "button") if self.kind == "ballpoint" else "cap"
        if self.accent != self.colour:
            said.append(_phrase(self.accent, part))
        if self.kind in ("ballpoint", "fountain") and self.trim not in (self.colour, self.accent):
            said.append(_phrase(self.trim, "clip"))
        return said + ([_phrase(self.band, "band")] if self.band else [])

    def model(self) -> Model:
        """The parts along y, then rolled and laid on the table."""
        shape = Shape()
        {
            "ballpoint": self._ballpoint,
            "fountain": self._fountain,
            "marker": self._marker,
            "stick": self._stick,
        }[self.kind](shape)
        vertices = np.concatenate(shape.vertices)
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        vertices = vertices @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
        low, high = vertices.min(0), vertices.max(0)
        shape.vertices = [vertices - ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2])]
        rough = 0.5 - 0.3 * self.gloss
        accent = self.paint if self.accent == self.colour else ALL_COLOURS[self.accent]
        return Model(
            shape,
            {
                "barrel": Surface(self.paint, rough, coat=self.gloss),
                "accent": Surface(accent, 0.65 if self.grip else rough, coat=self.gloss * 0.5),
                "band": Surface(ALL_COLOURS[self.band or "white"], rough, coat=self.gloss),
                "metal": METALS[self.trim],
                "silver": METALS["silver"],
                "ink": Surface((0.02, 0.02, 0.025), 0.6),
            },
        )

    def _turned(self, shape: Shape, profile: Profile, material: str, sides: int = 28) -> None:
        """A part turned round the pen's axis."""
        scaled = np.array(profile) * (self.radius, 1)
        shape.lathe(scaled, (0, 0, 0), material, segments=sides, angle=pi / sides)

    def _ring(self, shape: Shape, y: float, long: float, out: float, material: str) -> None:
        """A ring round the barrel that stands out a little."""
        profile = [(out - 0.15, y), (out, y), (out, y + long), (out - 0.15, y + long)]
        self._turned(shape, profile, material)

    def _clip(
        self, shape: Shape, start: float, end: float, out: float, wide: float, material: str
    ) -> None:
        """A clip from where it is held near the pen's end to its free tip, on the top side."""
        r = self.radius
        y = np.array([end + 0.012, end, end - 0.03, start + 0.04, start + 0.015, start])
        z = np.array([out - 0.4, out + 0.25, out + 0.38, out + 0.22, out + 0.08, out + 0.2]) * r
        half = np.array([1, 1, 1, 0.85, 0.8, 0.45]) * wide * r
        section = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
        points = np.stack(
            (
                half[:, None] * section[:, 0],
                np.repeat(y[:, None], 4, 1),
                z[:, None] + 0.09 * r * section[:, 1],
            ),
            -1,
        )
        shape.grid(points, material, wrap=True)
        shape.add(points[-1], np.array([[0, 1, 2, 3]]), material)

    def _ballpoint(self, shape: Shape) -> None:
        joint, grip = 0.46 + 0.16 * self.middle, 0.10 + 0.02 * self.middle
        tip: Profile = [(0.06, 0.0), (0.16, 0.006), (0.20, 0.03), (0.32, 0.035), (0.68, 0.085)]
        self._turned(shape, tip, "metal")
        self._turned(shape, [(0.70, 0.085), (0.88, grip), (0.95, 0.36)], "barrel")
        if self.grip:
            ribs: Profile = []
            for k in range(9):
                y = grip + 0.028 * k
                ribs += [(0.92, y), (1.04, y + 0.006), (1.04, y + 0.020), (0.92, y + 0.026)]
            self._turned(shape, ribs, "accent")
        self._turned(shape, [(0.95, 0.36), (1, joint), (0.96, 0.85), (0.86, 0.90)], "barrel")
        self._ring(shape, joint, 0.018, 1.06, "metal")
        self._ring(shape, 0.895, 0.02, 0.92, "metal")
        button: Profile = [(0.5, 0.90), (0.5, 0.985), (0.42, 1.0), (0.001, 1.0)]
        self._turned(shape, button, "metal" if self.grip else "accent")
        self._clip(shape, 0.60, 0.90, 1.0, 0.34, "metal")

    def _fountain(self, shape: Shape) -> None:
        lip = 0.40 + 0.06 * self.middle
        if self.open:
            self._nib(shape)
            self._turned(shape, [(0.62, 0.15), (0.72, 0.22), (0.78, 0.29)], "ink")
            self._ring(shape, 0.285, 0.015, 0.92, "metal")
            self._turned(shape, [(0.92, 0.29), (1, 0.45), (0.95, 0.70)], "barrel")
            lip = 0.62
        else:
            body: Profile = [(0.001, 0), (0.5, 0.004), (0.78, 0.03), (0.96, 0.15), (1, lip)]
            self._turned(shape, body, "barrel")
        cap: Profile = [(1.0, lip), (1.14, lip), (1.12, 0.88), (0.95, 0.96), (0.6, 0.995)]
        self._turned(shape, [*cap, (0.001, 1.0)], "accent")
        self._ring(shape, lip + 0.01, 0.025, 1.2, "metal")
        self._clip(shape, lip + 0.09, 0.95, 1.1, 0.30, "metal")

    def _nib(self, shape: Shape) -> None:
        """A bent leaf of metal with a dark slit."""
        y = np.linspace(0, 0.16, 9)[:, None]
        bend = np.linspace(-1.1, 1.1, 9)[None]
        reach = 0.62 * np.minimum(1, 0.05 + y / 0.11) * self.radius
        x, z = reach * np.sin(bend), 0.62 * self.radius * (np.cos(bend) - 0.2)
        points = np.stack((x, np.broadcast_to(y, x.shape), np.broadcast_to(z, x.shape)), -1)
        shape.grid(points, "metal")
        slit = np.array([(-1, 0.02), (1, 0.02), (1, 0.08), (-1, 0.08)])
        high = np.full(4, 0.51 * self.radius)
        corners = np.stack((slit[:, 0] * 0.05 * self.radius, slit[:, 1], high), -1)
        shape.add(corners, np.array([[0, 1, 2, 3]]), "ink")

    def _marker(self, shape: Shape) -> None:
        lip = 0.34 + 0.1 * self.middle
        if self.open:
            tip: Profile = [(0.001, 0.02), (0.22, 0.025), (0.26, 0.07)]
            self._turned(shape, tip, "accent")
            self._turned(shape, [(0.3, 0.06), (0.5, 0.08), (0.55, 0.16), (0.85, 0.19)], "ink")
            self._turned(shape, [(0.85, 0.19), (1, 0.20), (1, 0.98), (0.001, 0.98)], "barrel")
            start, end = 1 - lip, 1.0
        else:
            self._turned(shape, [(1, lip - 0.02), (1, 0.98), (0.9, 1.0), (0.001, 1.0)], "barrel")
            start, end = lip, 0.0
        ribs: Profile = [(1.0, start), (1.08, start)]
        ribs += [(1.06, start + (end - start) * 0.8), (0.95, end), (0.001, end)]
        self._turned(shape, ribs, "accent")
        if self.open:
            self._clip(shape, start + 0.03, end - 0.03, 1.0, 0.22, "accent")
        else:
            self._ring(shape, 0.945, 0.03, 1.02, "accent")
        if self.band:
            low, high = (0.28, start - 0.06) if self.open else (lip + 0.10, 0.84)
            self._ring(shape, low, high - low, 1.02, "band")

    def _stick(self, shape: Shape) -> None:
        tip: Profile = [(0.06, 0.0), (0.16, 0.006), (0.20, 0.03), (0.30, 0.035)]
        self._turned(shape, tip, "silver")
        self._turned(shape, [(0.30, 0.035), (0.62, 0.10), (0.86, 0.13)], "accent")
        lip = 0.70 + 0.1 * self.middle
        self._turned(shape, [(0.9, 0.12), (1, 0.14), (1, lip + 0.02)], "barrel", sides=6)
        cap: Profile = [(1.0, lip), (1.14, lip), (1.02, 0.95), (0.85, 0.99), (0.001, 1.0)]
        self._turned(shape, cap, "accent")
        self._clip(shape, lip - 0.08, 0.96, 1.05, 0.26, "accent")


def _phrase(colour: str, part: str) -> str:
    return f"{'an' if colour == 'orange' else 'a'} {colour} {part}"
