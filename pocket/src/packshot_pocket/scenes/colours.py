"""The world's colours, by the names that captions use."""

from __future__ import annotations

import random

Colour = tuple[float, float, float]

COLOURS: dict[str, Colour] = {  # linear RGB
    "red": (0.60, 0.010, 0.012),
    "blue": (0.012, 0.075, 0.46),
    "white": (0.82, 0.82, 0.80),
    "black": (0.008, 0.008, 0.010),
    "silver": (0.42, 0.43, 0.45),
    "yellow": (0.83, 0.52, 0.010),
    "green": (0.012, 0.19, 0.040),
    "orange": (0.80, 0.17, 0.008),
}
MORE_COLOURS: dict[str, Colour] = {  # things come in these too
    "brown": (0.13, 0.048, 0.018),
    "pink": (0.78, 0.20, 0.33),
}
ALL_COLOURS = COLOURS | MORE_COLOURS


def shade(colour: str, rng: random.Random) -> Colour:
    """A random shade of a colour that still goes by its name."""
    gain = rng.uniform(0.8, 1.2)
    red, green, blue = (
        min(0.88, channel * gain * rng.uniform(0.9, 1.1)) for channel in ALL_COLOURS[colour]
    )
    return red, green, blue


_ALIKE = ({"silver", "white"}, {"brown", "red"}, {"brown", "black"}, {"brown", "orange"})


def differ(first: str, second: str) -> bool:
    """Whether two colours can be told apart on one thing."""
    return first != second and {first, second} not in _ALIKE
