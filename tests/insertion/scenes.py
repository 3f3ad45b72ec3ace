"""Drawn products composed into drawn places by the program's own code, small and fast."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from packshot.insertion.background import Background, Box
from packshot.insertion.composite import composite
from packshot.insertion.cutouts import CutOut
from packshot.insertion.insert import _scene as scene_of
from packshot.insertion.placement import Placement
from packshot.insertion.settings import InsertionSettings
from packshot.photos.photo_set import Photo

HORIZON = 0.4


def _sand(ground, rng):
    return np.float32([0.75, 0.66, 0.5]) + rng.normal(0, 0.02, ground)[..., None]


def _smooth(ground, rng):
    fade = np.linspace(0.75, 0.55, ground[0])[:, None, None]
    return np.broadcast_to(fade * np.float32([1, 0.98, 0.95]), (*ground, 3))


def _tiles(ground, rng):
    rows, columns = np.mgrid[: ground[0], : ground[1]]
    away = 60 / (rows + 1.0)
    chequer = (np.floor((columns - ground[1] / 2) * away / 40) + np.floor(4 * away)) % 2
    return (0.45 + 0.2 * chequer + rng.normal(0, 0.008, ground))[..., None] * np.ones(3)


def _gravel(ground, rng):
    grain = cv2.GaussianBlur(rng.normal(0, 1, ground).astype(np.float32), (0, 0), 1.2)
    return (0.4 + 0.1 * grain / grain.std())[..., None] * np.ones(3)


def _night(ground, rng):
    return np.float32([0.16, 0.15, 0.15]) + rng.normal(0, 0.015, ground)[..., None]


GROUNDS = {
    "sand": _sand, "smooth": _smooth, "tiles": _tiles, "gravel": _gravel, "night": _night,
}  # fmt: skip


def background(ground="sand", width=240):
    """A place: sky, and a ground of that name."""
    height = round(0.75 * width)
    horizon = round(HORIZON * height)
    colours = np.full((height, width, 3), (0.55, 0.62, 0.7), np.float32)
    if ground == "night":
        colours[:] = (0.05, 0.06, 0.12)
    colours[horizon:] = GROUNDS[ground]((height - horizon, width), np.random.default_rng(0))
    return Background(f"{ground}.png", (colours.clip(0, 1) * 255).round().astype(np.uint8), None)


def _box(side):
    colours = np.full((side, round(1.35 * side), 3), (0.75, 0.1, 0.1), np.float32)
    height, width = colours.shape[:2]
    colours[height // 5 : height // 2, width // 4 : 3 * width // 4] = (0.95, 0.95, 0.93)
    return colours, np.ones((height, width), np.float32)


def _bottle(side):
    width = round(0.45 * side)
    shade = 1.3 - 0.6 * np.linspace(-1, 1, width, dtype=np.float32)[:, None] ** 2
    colours = np.broadcast_to(np.float32([0.1, 0.35, 0.15]) * shade, (side, width, 3)).copy()
    colours[side // 2 : 3 * side // 4, 2:-2] = (0.9, 0.85, 0.6)
    alpha = np.zeros((side, width), np.float32)
    alpha[side // 3 :] = 1
    alpha[:, width // 3 : 2 * width // 3] = 1
    return colours, alpha


def _car(side):
    height, width = side, round(2.2 * side)
    alpha, colours = np.zeros((height, width), np.float32), np.zeros((height, width, 3), np.float32)
    colours[:] = (0.2, 0.35, 0.7)
    cv2.rectangle(alpha, (0, height * 2 // 5), (width - 1, height * 4 // 5), 1, -1)
    cv2.rectangle(alpha, (width // 4, 0), (width * 3 // 4, height // 2), 1, -1)
    cv2.rectangle(
        colours, (width // 3, height // 10), (width * 2 // 3, height * 2 // 5), (0.7, 0.8, 0.85), -1
    )
    for x in (width // 5, width * 4 // 5):
        wheel = (x, height * 4 // 5), height // 5 - 1
        cv2.circle(alpha, *wheel, 1, -1)
        cv2.circle(colours, *wheel, (0.07, 0.07, 0.07), -1)
    return colours, alpha


PRODUCTS = {"box": _box, "bottle": _bottle, "car": _car}


def cut_out_of(product="box", side=160):
    """A drawn product as if cut out of a photo on grey."""
    colours, alpha = (cv2.GaussianBlur(one, (0, 0), 0.5) for one in PRODUCTS[product](side))
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    alpha = np.where(alpha < 0.02, 0, alpha)[part]
    height, width = alpha.shape
    name = f"{product}.png"
    photo = Photo(Path(name), "", 2 * width, 2 * height, f"a photo of {product}", None, name, "")
    return CutOut(photo, colours[part], alpha, np.full((99, 3), 0.5, np.float32))


def scene(ground="sand", width=240, azimuth=200.0, hardness=0.5, elevation=40.0, box=None):
    """A scene with that light; the product's place is in the middle, if no `box` is given."""
    place = background(ground, width)
    tall = round(0.32 * width)
    wide = round(1.4 * tall)
    box = box or Box((width - wide) // 2, round(0.82 * place.height) - tall, wide, tall)
    settings = InsertionSettings(
        horizon=HORIZON * place.height, light_azimuth_degrees=azimuth,
        light_elevation_degrees=elevation, light_hardness=hardness,
    )  # fmt: skip
    return scene_of(place, Placement(box), settings)


def inserted(shown, product="box", **settings):
    """The product composed into a scene."""
    return composite(shown, cut_out_of(product), InsertionSettings(**settings), 0)
