"""Drawn places as arrays, to train and to judge on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from packshot_pocket.pretrain.sunlit.places import Picture, Place, draw_place, picture_of
from packshot_pocket.pretrain.sunlit.solids import Array, array
from packshot_pocket.pretrain.sunlit.textures import textures

SIDE = 120
KINDS = {
    "train": ("box", "car", "bottle", "ball", "tree", "person"),
    "calibrate": ("rock", "post"),
    "test": ("house", "table"),
}
"""Things of each part: what confidence is calibrated and judged on was never trained on."""
_HELD_OUT_TEXTURES = 4


@dataclass(frozen=True)
class Drawn:
    """Linear light fp16 [N, side, side, 3], direction to the light [N, 3] (0 if there is none),
    hardness [N], and how far the sun reaches the ground, fp16 [N, side, side], as in `Picture`."""

    light: Array
    directions: Array
    hardness: Array
    sunlit: Array


def draw(part: str, count: int, seed: int, side: int = SIDE) -> Drawn:
    """So many places with the things of a part; each a function of (seed, part, number)."""
    made = textures()
    own = made[_HELD_OUT_TEXTURES:] if part == "train" else made
    pictures, directions, hardness, sunlit = [], [], [], []
    for number in range(count):
        rng = np.random.default_rng([seed, list(KINDS).index(part), number])
        place = draw_place(rng, KINDS[part], own)
        picture = picture_of(place, rng, side)
        pictures.append(_focused(place, picture, rng))
        sunlit.append(picture.sunlit.astype(np.float16))
        directions.append(place.sun.direction * (place.sun.strength > 0))
        hardness.append(place.sun.hardness)
    return Drawn(np.stack(pictures), np.stack(directions), array(hardness), np.stack(sunlit))


def _focused(place: Place, picture: Picture, rng: np.random.Generator) -> Array:
    """The light, some with what is far behind the things out of focus."""
    light, distance = picture.light, picture.distance
    if rng.random() < 0.3:
        sharp = max(float(np.linalg.norm([*s.centre[:2], 1])) for s in place.solids[:2])
        blurred = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(1, 5)))
        share = ((distance / sharp - 1.2) / 1.5).clip(0, 1)[..., None]
        light = light * (1 - share) + blurred * share
    return np.minimum(light, 60).astype(np.float16)
