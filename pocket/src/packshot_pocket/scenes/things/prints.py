"""What is printed on things: one motif in one ink, as a picture of yes and no."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from packshot_pocket.scenes.colours import ALL_COLOURS, differ
from packshot_pocket.scenes.shape import Array


def _star(x: Array, y: Array) -> Array:
    turn = np.mod(np.arctan2(y, x) - np.pi / 2 + np.pi / 5, 2 * np.pi / 5) - np.pi / 5
    edge = 0.30 / (0.30 / 0.72 + (1 - 0.30 / 0.72) * np.abs(turn) / (np.pi / 5))
    return np.hypot(x, y) < edge


def _cross(x: Array, y: Array) -> Array:
    across, down = np.abs(x), np.abs(y)
    return (np.minimum(across, down) < 0.17) & (np.maximum(across, down) < 0.6)


# Motifs on x, y in picture heights from the middle, y up from -1 to 1 at the edges.
MOTIFS: dict[str, Callable[[Array, Array], Array]] = {
    "band": lambda x, y: np.abs(y) < 0.28,
    "disc": lambda x, y: np.hypot(x, y) < 0.55,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.5) < 0.13,
    "diamond": lambda x, y: np.abs(x) + np.abs(y) < 0.68,
    "star": _star,
    "cross": _cross,
    "stripes": lambda x, y: np.mod(x * 2.2 + 0.25, 1) < 0.5,
    "sash": lambda x, y: np.abs(y - x * 0.8) < 0.30,
    "waves": lambda x, y: np.mod(y * 1.6 + 0.22 * np.sin(x * 6.5) + 0.25, 1) < 0.5,
    "dots": lambda x, y: np.hypot(np.mod(x * 2, 1) - 0.5, np.mod(y * 2, 1) - 0.5) < 0.3,
    "checks": lambda x, y: np.mod(np.floor(x * 2) + np.floor(y * 2), 2) == 0,
}
MANY = ("stripes", "waves", "dots", "checks")


@dataclass(frozen=True)
class Print:
    """One motif in one ink."""

    motif: str  # one of MOTIFS
    ink: str  # one of ALL_COLOURS

    @classmethod
    def draw(cls, rng: random.Random, ground: str) -> Print:
        """A random one whose ink shows on a ground colour."""
        inks = [ink for ink in ALL_COLOURS if differ(ink, ground)]
        return cls(rng.choice(tuple(MOTIFS)), rng.choice(inks))

    def words(self) -> str:
        """What captions call it: "a white band", "yellow dots"."""
        phrase = f"{self.ink} {self.motif}"
        if self.motif in MANY:
            return phrase
        return ("an " if phrase[0] in "aeiou" else "a ") + phrase

    def picture(self, rows: int, columns: int, aspect: float) -> Array:
        """Where the ink is: int [rows, columns], 1 on the ink, first row at the bottom.

        `aspect` is the printed area's width over its height.
        """
        y = (np.arange(rows) + 0.5) / rows * 2 - 1
        x = ((np.arange(columns) + 0.5) / columns * 2 - 1) * aspect
        return MOTIFS[self.motif](*np.meshgrid(x, y)).astype(np.int64)
