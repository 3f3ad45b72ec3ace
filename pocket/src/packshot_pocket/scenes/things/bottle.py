"""Bottles: turned bodies of glass or plastic, a cap, a printed label in front."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, Colour, differ, shade
from packshot_pocket.scenes.shape import Array, Shape
from packshot_pocket.scenes.things.model import Model, Surface
from packshot_pocket.scenes.things.prints import Print

# Outlines of radius and height, the neck last; where a label may be, low and high.
FORMS: dict[str, tuple[tuple[tuple[float, float], ...], tuple[float, float]]] = {
    "wine": (
        ((0.135, 0), (0.14, 0.02), (0.14, 0.56), (0.13, 0.62), (0.09, 0.69), (0.055, 0.74),
         (0.048, 0.80), (0.048, 0.95)), (0.14, 0.50),
    ),
    "beer": (
        ((0.125, 0), (0.135, 0.02), (0.135, 0.50), (0.125, 0.56), (0.085, 0.66), (0.06, 0.76),
         (0.05, 0.84), (0.05, 0.94)), (0.12, 0.46),
    ),
    "water": (
        ((0.13, 0), (0.145, 0.03), (0.145, 0.30), (0.135, 0.38), (0.145, 0.46), (0.145, 0.62),
         (0.12, 0.74), (0.075, 0.84), (0.06, 0.87), (0.06, 0.93)), (0.44, 0.64),
    ),
    "milk": (
        ((0.17, 0), (0.18, 0.03), (0.18, 0.50), (0.165, 0.58), (0.11, 0.70), (0.095, 0.78),
         (0.10, 0.88), (0.10, 0.93)), (0.12, 0.46),
    ),
    "sauce": (
        ((0.15, 0), (0.165, 0.03), (0.175, 0.20), (0.165, 0.45), (0.155, 0.62), (0.12, 0.70),
         (0.09, 0.72), (0.09, 0.74)), (0.12, 0.58),
    ),
    "shampoo": (
        ((0.16, 0), (0.175, 0.02), (0.18, 0.10), (0.18, 0.66), (0.165, 0.72), (0.11, 0.75),
         (0.08, 0.76), (0.08, 0.79)), (0.14, 0.64),
    ),
}  # fmt: skip
CAPS = {"wine": 0.16, "beer": 0.04, "water": 0.07, "milk": 0.05, "sauce": 0.24, "shampoo": 0.18}
_LABEL_ROWS, _LABEL_COLUMNS = 72, 96


@dataclass(frozen=True)
class Bottle:
    """A bottle. Lengths in shares of its height."""

    noun: ClassVar[str] = "bottle"
    flat: ClassVar[bool] = False
    colour: str
    paint: Colour
    form: str  # one of FORMS
    glass: bool
    label: str  # a colour's name
    printed: Print | None
    cap: str  # a colour's name
    stout: float  # how much wider than its form
    label_turn: float  # the share of the way round that a label takes
    nozzle: bool

    @classmethod
    def draw(cls, rng: random.Random) -> Bottle:
        """A random one."""
        form = rng.choice(tuple(FORMS))
        glass = form in ("wine", "beer") or (form == "milk" and rng.random() < 0.3)
        colour = rng.choice(("green", "brown", "black", "blue") if glass else tuple(ALL_COLOURS))
        others = [c for c in ALL_COLOURS if differ(c, colour)]
        label = rng.choice((*others, "white") if colour != "white" else others)
        return cls(
            colour=colour,
            paint=shade(colour, rng),
            form=form,
            glass=glass,
            label=label,
            printed=Print.draw(rng, label) if rng.random() < 0.75 else None,
            cap=rng.choice(tuple(ALL_COLOURS)),
            stout=rng.uniform(0.9, 1.25),
            label_turn=rng.choice((1.0, rng.uniform(0.35, 0.6))),
            nozzle=form in ("sauce", "shampoo") and rng.random() < 0.5,
        )

    def details(self) -> list[str]:
        """The label and the cap."""
        said = [("an " if self.label[0] in "aeiou" else "a ") + f"{self.label} label"]
        if self.printed:
            said.append(self.printed.words())
        if self.cap != self.colour:
            said.append(("an " if self.cap[0] in "aeiou" else "a ") + f"{self.cap} cap")
        return said

    def model(self) -> Model:
        """Body, cap, and the label a little outside the body."""
        shape, outline = Shape(), self._outline()
        shape.lathe(np.array([(0.001, 0), *outline]), (0, 0, 0), "body", axis=2, segments=64)
        self._cap(shape, outline[-1])
        self._label(shape)
        ink = ALL_COLOURS[self.printed.ink if self.printed else self.label]
        body = darker_glass(self.paint) if self.glass else self.paint
        rough = 0.07 if self.glass else 0.3
        return Model(
            shape,
            {
                "body": Surface(body, rough, coat=0.6),
                "cap": Surface(ALL_COLOURS[self.cap], 0.4, metal=0.6 if self.glass else 0),
                "label": Surface(ALL_COLOURS[self.label], 0.6),
                "ink": Surface(ink, 0.6),
            },
        )

    def _outline(self) -> Array:
        """The form's outline, rounded and as stout as this one."""
        points = np.array(FORMS[self.form][0]) * (self.stout, 1)
        along = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
        fine = np.linspace(0, along[-1], 90)
        radius, height = (np.interp(fine, along, points[:, i]) for i in (0, 1))
        smooth = np.convolve(np.pad(radius, 3, mode="edge"), np.ones(7) / 7, mode="valid")
        return np.stack((smooth, height), -1)

    def _cap(self, shape: Shape, neck: Array) -> None:
        radius, low, tall = neck[0] * 1.12, neck[1] - 0.35 * CAPS[self.form], CAPS[self.form]
        high = low + tall
        if self.form in ("wine", "beer"):
            low, high = neck[1] - tall, neck[1] + 0.012
        profile = [(radius * 0.98, low), (radius, low + 0.01), (radius, high - 0.01)]
        profile += [(radius * 0.94, high), (0.001, high)]
        if self.nozzle:
            profile[-2:] = [(radius * 0.8, high), (radius * 0.25, high + 0.1), (0.001, high + 0.1)]
        shape.lathe(np.array(profile), (0, 0, 0), "cap", axis=2, segments=40)

    def _label(self, shape: Shape) -> None:
        outline, (low, high) = self._outline(), FORMS[self.form][1]
        z = np.linspace(low, high, _LABEL_ROWS + 1)
        r = np.interp(z, outline[:, 1], outline[:, 0])[:, None] + 0.0025
        half = np.pi * self.label_turn
        turn = np.linspace(-half, half, _LABEL_COLUMNS + 1)
        heights = np.broadcast_to(z[:, None], (len(z), len(turn)))
        points = np.stack((r * np.cos(turn), r * np.sin(turn), heights), -1)
        where = np.zeros((_LABEL_ROWS, _LABEL_COLUMNS), int)
        if self.printed:
            aspect = 2 * half * float(r.mean()) / (high - low)
            shown = 1.7 * float(r.mean()) / (high - low)  # the front's width: no motif is larger
            picture = self.printed.picture(_LABEL_ROWS, _LABEL_COLUMNS, aspect / min(1.0, shown))
            where = picture
        shape.printed(points, where, ("label", "ink"))


def darker_glass(paint: Colour) -> Colour:
    """What tinted glass looks like when nothing shines through: its colour, much darker."""
    red, green, blue = (0.35 * channel for channel in paint)
    return red, green, blue
