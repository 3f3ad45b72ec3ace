"""Cars as plain data: proportions by body, paint, two-tone roofs, stripes, trim."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, ClassVar

from packshot_pocket.scenes.colours import COLOURS, Colour, differ, shade

BODIES = ("suv", "hatchback", "sedan", "pickup", "van", "sports car")
BODY_WEIGHTS = (26, 16, 20, 13, 11, 14)
ROOFS = ("plain", "white", "black")
STRIPES = ("none", "white", "black", "yellow", "red")
RIMS = ("five", "ten", "disc", "twin")


@dataclass(frozen=True)
class CarSpec:
    """Everything needed to build a car. Lengths in metres, shares as fractions of the length."""

    flat: ClassVar[bool] = False
    body: str
    colour: str
    paint: Colour
    metallic: bool
    roof: str  # one of ROOFS
    stripe: str  # one of STRIPES
    length: float
    width: float
    height: float
    clearance: float
    wheel_radius: float
    cowl_share: float  # where the windscreen begins, from the nose
    windscreen_share: float  # length of the windscreen
    tail_share: float  # length of the rear window
    rim: str  # one of RIMS
    dark_rim: bool = False
    rails: bool = False
    spare: bool = False
    cladding: bool = False
    badge: bool = False  # round yellow badges on grille, doors and spare wheel
    round_lamps: bool = False

    @classmethod
    def draw(cls, rng: random.Random) -> CarSpec:
        """A random car."""
        body = rng.choices(BODIES, BODY_WEIGHTS)[0]
        colour = rng.choice(tuple(COLOURS))
        shape: dict[str, Any] = {
            name: rng.uniform(*bounds) for name, bounds in vars(PROPORTIONS[body]).items()
        }
        roof = rng.choice(("white", "black")) if rng.random() < 0.32 else "plain"
        stripe = rng.choice(STRIPES[1:]) if rng.random() < 0.25 else "none"
        rugged = body in ("suv", "pickup")
        return cls(
            body=body,
            colour=colour,
            paint=shade(colour, rng),
            metallic=colour == "silver" or rng.random() < 0.3,
            roof=roof if differ(roof, colour) else "plain",
            stripe=stripe if differ(stripe, colour) else "none",
            rim=rng.choice(RIMS),
            dark_rim=rng.random() < 0.2,
            rails=body in ("suv", "hatchback") and rng.random() < (0.6 if rugged else 0.1),
            spare=body == "suv" and rng.random() < 0.3,
            cladding=rugged and rng.random() < 0.6,
            round_lamps=rng.random() < 0.25,
            **shape,
        )

    @property
    def noun(self) -> str:
        """What captions call it."""
        return self.body

    def details(self) -> list[str]:
        """The two-tone roof and the stripe, as noun phrases."""
        roof = [f"a {self.roof} roof"] if self.roof != "plain" else []
        return roof + ([f"a {self.stripe} stripe"] if self.stripe != "none" else [])


@dataclass(frozen=True)
class Proportions:
    """Ranges from which a body type's measures are drawn, named as in CarSpec."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    clearance: tuple[float, float]
    wheel_radius: tuple[float, float]
    cowl_share: tuple[float, float]
    windscreen_share: tuple[float, float]
    tail_share: tuple[float, float]


PROPORTIONS = {
    "suv": Proportions(
        (4.2, 4.75),
        (1.84, 1.96),
        (1.70, 1.86),
        (0.25, 0.33),
        (0.37, 0.42),
        (0.25, 0.29),
        (0.09, 0.13),
        (0.03, 0.08),
    ),
    "hatchback": Proportions(
        (3.7, 4.2),
        (1.70, 1.80),
        (1.44, 1.54),
        (0.17, 0.20),
        (0.31, 0.34),
        (0.22, 0.26),
        (0.15, 0.18),
        (0.10, 0.15),
    ),
    "sedan": Proportions(
        (4.55, 4.95),
        (1.78, 1.88),
        (1.40, 1.48),
        (0.16, 0.19),
        (0.32, 0.35),
        (0.28, 0.31),
        (0.13, 0.16),
        (0.12, 0.15),
    ),
    "pickup": Proportions(
        (4.9, 5.4),
        (1.86, 1.98),
        (1.72, 1.84),
        (0.28, 0.35),
        (0.38, 0.42),
        (0.25, 0.28),
        (0.09, 0.12),
        (0.02, 0.04),
    ),
    "van": Proportions(
        (4.6, 5.2),
        (1.88, 2.0),
        (2.0, 2.3),
        (0.20, 0.24),
        (0.33, 0.36),
        (0.10, 0.14),
        (0.12, 0.15),
        (0.01, 0.03),
    ),
    "sports car": Proportions(
        (4.2, 4.5),
        (1.86, 1.96),
        (1.20, 1.28),
        (0.12, 0.14),
        (0.33, 0.36),
        (0.33, 0.37),
        (0.17, 0.20),
        (0.26, 0.32),
    ),
}
