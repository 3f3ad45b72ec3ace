"""What a thing is made of: a shape and the surfaces of its parts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.shape import Array, Shape


@dataclass(frozen=True)
class Surface:
    """How a part's surface looks. Colours are linear RGB, everything else a share in 0..1."""

    rgb: Colour
    rough: float = 0.5
    metal: float = 0.0
    coat: float = 0.0


@dataclass(frozen=True)
class Model:
    """A thing's shape, in any unit, and the surface of each of its materials.

    x points to its front, y to its left, z up; it stands or lies on z = 0 with its middle at
    x = y = 0.
    """

    shape: Shape
    surfaces: dict[str, Surface]

    def bounds(self) -> tuple[Array, Array]:
        """The lowest and the highest corner of its box, [3] each."""
        vertices = np.concatenate(self.shape.vertices)
        return vertices.min(axis=0), vertices.max(axis=0)


class Thing(Protocol):
    """Everything needed to build a thing, as plain data."""

    noun: ClassVar[str]
    """What captions call it: "mug"."""
    flat: ClassVar[bool]
    """Whether it lies on its face, so that it shows only from above."""

    @property
    def colour(self) -> str:
        """Its main colour, one of ALL_COLOURS."""
        ...

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        """A random one."""
        ...

    def details(self) -> list[str]:
        """What makes it this one beside noun and colour, as noun phrases: "a white band"."""
        ...

    def model(self) -> Model:
        """Its shape and surfaces."""
        ...
