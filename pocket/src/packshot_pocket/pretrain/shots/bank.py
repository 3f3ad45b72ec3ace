"""The textures that things and grounds are covered with, and the light around them."""

from __future__ import annotations

import string
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from packshot_pocket.pretrain.shots.meshes import Array
from packshot_pocket.pretrain.sunlit.textures import photographs

SIDE = 256
PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
    "gravel.png", "motorcycle_left.png", "rocket.jpg", "hubble_deep_field.jpg", "ihc.png", "retina.jpg",
)  # fmt: skip
_GROUNDS = ("brick.png", "grass.png", "gravel.png")
_COUNTS = {
    "plain": 24,
    "print": 150,
    "weave": 24,
    "wood": 24,
    "stone": 40,
    "tiles": 24,
    "photo": 60,
}
Random = np.random.Generator


@dataclass(frozen=True)
class Bank:
    """Textures uint8 [N, 256, 256, 3], the numbers of each kind, photographs, and lights around.

    Attributes:
        worlds: linear light [N, 3 levels of blur, 32, 64, 3], rows from above to below.
    """

    textures: Array
    kinds: dict[str, Array]
    pictures: list[Array]
    worlds: Array


def make_bank(seed: int) -> Bank:
    """A function of the seed."""
    rng = np.random.default_rng(seed)
    pictures = photographs(PHOTOGRAPHS)
    grounds = photographs(_GROUNDS)
    makers = {
        "plain": lambda: _plain(rng),
        "print": lambda: _print(rng, pictures),
        "weave": lambda: _weave(rng),
        "wood": lambda: _wood(rng),
        "stone": lambda: _stone(rng, grounds),
        "tiles": lambda: _tiles(rng),
        "photo": lambda: crop(pictures[rng.integers(len(pictures))], rng, SIDE),
    }
    textures: list[Array] = []
    kinds = {}
    for kind, count in _COUNTS.items():
        kinds[kind] = np.arange(len(textures), len(textures) + count)
        textures += [makers[kind]() for _ in range(count)]
    worlds = np.stack([_world(rng, pictures) for _ in range(60)])
    return Bank(np.stack(textures), kinds, pictures, worlds)


def crop(picture: Array, rng: Random, side: int, least: float = 0.25) -> Array:
    """A square part of a picture, perhaps mirrored, turned or of other colours, uint8."""
    size = int(rng.uniform(least, 1) * min(picture.shape[:2]))
    top, left = (int(rng.integers(0, extent - size + 1)) for extent in picture.shape[:2])
    part = picture[top : top + size, left : left + size]
    part = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.5:
        hsv = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(180))) % 180
        hsv[..., 1] = (hsv[..., 1] * rng.uniform(0.2, 1)).astype(np.uint8)
        part = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.ascontiguousarray(part)


def noise(rng: Random, coarse: int, side: int = SIDE, roughness: float = 0.55) -> Array:
    """Noise that repeats without a seam, [side, side], of mean 0 and deviation 1."""
    total, share = np.zeros((side, side), np.float32), 1.0
    while coarse < side and share > 0.04:
        cells = rng.standard_normal((coarse, coarse)).astype(np.float32)
        wide = np.pad(cells, 2, mode="wrap")
        big = cv2.resize(
            wide, None, fx=side / coarse, fy=side / coarse, interpolation=cv2.INTER_CUBIC
        )
        edge = round(2 * side / coarse)
        total += share * big[edge : edge + side, edge : edge + side]
        coarse, share = coarse * 2, share * roughness
    return (total - total.mean()) / (total.std() + 1e-6)


def _shown(values: Array) -> Array:
    values = values if values.ndim == 3 else values[..., None] * np.ones(3)
    return (values.clip(0, 1) * 255).astype(np.uint8)


def _colour(rng: Random) -> Array:
    """Any colour, half of the time a pale or dull one."""
    hue, strength = rng.uniform(0, 1), rng.choice([rng.uniform(0, 0.25), rng.uniform(0.3, 1)])
    value = rng.uniform(0.05, 1)
    hsv = np.array([[[hue * 360, strength, value]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def _plain(rng: Random) -> Array:
    spread = rng.choice([0.0, 0.02, 0.05, 0.12])
    return _shown(0.85 + spread * noise(rng, int(rng.choice([2, 4, 16, 64]))))


def _wood(rng: Random) -> Array:
    rings = noise(rng, 4)
    rows = np.arange(SIDE)[:, None] / SIDE * 2 * np.pi
    lines = np.sin(int(rng.integers(2, 9)) * rows + rng.uniform(0.3, 2.5) * rings)
    grain = cv2.GaussianBlur(noise(rng, 64), (0, 0), 12, None, 0.7)
    wood = 0.65 + 0.08 * lines + 0.06 * grain / (grain.std() + 1e-6)
    planks = int(rng.choice([0, 0, 2, 4, 8]))
    if planks:
        wood[(np.arange(SIDE) * planks % SIDE) < planks * 3] *= 0.35
    tint = rng.choice([[1.0, 0.72, 0.45], [0.8, 0.5, 0.3], [1, 0.85, 0.65], [0.5, 0.4, 0.35]])
    return _shown(wood[..., None] * tint if rng.random() < 0.8 else wood[..., None] * _colour(rng))


def _weave(rng: Random) -> Array:
    number = int(rng.integers(8, 60))
    waves = np.sin(np.arange(SIDE) / SIDE * 2 * np.pi * number)
    cloth = 0.75 + 0.12 * waves[:, None] * waves[None] + 0.06 * noise(rng, 32)
    if rng.random() < 0.4:  # stripes or checks
        bands = (np.arange(SIDE) * int(rng.integers(2, 8)) // SIDE) % 2
        one, other = _colour(rng), _colour(rng)
        mix = bands[:, None] * 0.5 + (
            bands[None] * 0.5 if rng.random() < 0.5 else bands[:, None] * 0.5
        )
        return _shown(cloth[..., None] * (mix[..., None] * one + (1 - mix[..., None]) * other))
    return _shown(cloth + 0.1 * noise(rng, 4))


def _stone(rng: Random, grounds: list[Array]) -> Array:
    if rng.random() < 0.5:
        part = crop(grounds[rng.integers(len(grounds))], rng, SIDE, 0.4)
        tint = rng.choice(
            np.array([[1, 1, 1], [0.5, 0.9, 0.3], [0.6, 1, 0.4], [1, 0.8, 0.6], [1, 0.55, 0.4]])
        )
        return _shown(part / 255 * tint)
    tint = 0.6 + 0.4 * _colour(rng)
    speckle = noise(rng, int(rng.choice([4, 16, 64])), roughness=rng.uniform(0.5, 0.95))
    return _shown((0.6 + rng.uniform(0.05, 0.25) * speckle)[..., None] * tint)


def _tiles(rng: Random) -> Array:
    cells, other = int(rng.integers(2, 7)), int(rng.integers(2, 7))
    colours = _colour(rng) * (1 + rng.uniform(0, 0.3) * rng.standard_normal((cells, other, 1)))
    grid = cv2.resize(colours.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    joint = _colour(rng)
    grid[(np.arange(SIDE) * cells % SIDE) < cells * 5] = joint
    grid[:, (np.arange(SIDE) * other % SIDE) < other * 5] = joint
    return _shown(grid + 0.04 * noise(rng, 16)[..., None])


def _print(rng: Random, pictures: list[Array]) -> Array:
    """A label: a ground with shapes, words, perhaps a picture."""
    ground = np.broadcast_to(_colour(rng), (SIDE, SIDE, 3)).copy()
    if rng.random() < 0.3:
        other = _colour(rng)
        ramp = np.linspace(0, 1, SIDE)[:, None, None]
        ground = ground * (1 - ramp) + other * ramp
    if rng.random() < 0.3:
        mix = (noise(rng, 3) > rng.uniform(-0.5, 1))[..., None]
        ground = np.where(mix, _colour(rng), ground)
    image = Image.fromarray(_shown(ground))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 7)):
        _draw_shape(draw, rng)
    if rng.random() < 0.35:
        size = int(rng.integers(50, 150))
        part = crop(pictures[rng.integers(len(pictures))], rng, size, 0.15)
        image.paste(Image.fromarray(part), _spot(rng, SIDE - size))
    for _ in range(rng.integers(0, 5)):
        letters = list(string.ascii_letters + string.digits)
        text = "".join(rng.choice(letters, int(rng.integers(2, 9))))
        font = ImageFont.load_default(int(rng.choice([12, 18, 28, 44])))
        x, y = (int(v) for v in rng.integers(5, SIDE - 60, 2))
        draw.text((x, y), text, fill=_whole(_colour(rng)), font=font)
    return np.asarray(image)


def _spot(rng: Random, most: int) -> tuple[int, int]:
    x, y = rng.integers(10, most, 2)
    return int(x), int(y)


def _draw_shape(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    x, y = (int(v) for v in rng.integers(-20, SIDE, 2))
    width, height = (int(v) for v in rng.integers(10, 160, 2))
    box, fill = (x, y, x + width, y + height), _whole(_colour(rng))
    kind = rng.integers(0, 4)
    if kind == 0:
        draw.ellipse(box, fill=fill)
    elif kind == 1:
        draw.rectangle(box, fill=fill)
    elif kind == 2:
        draw.rectangle((0, y, SIDE, y + height // 3), fill=fill)
    else:
        draw.polygon([(x, y), (x + width, y), (x + width // 2, y + height)], fill=fill)


def _whole(colour: Array) -> tuple[int, ...]:
    return tuple(int(255 * value) for value in colour)


def _world(rng: Random, pictures: list[Array]) -> Array:
    """Light around: a room or a sky of ramps, windows and lamps, or a photograph bent around."""
    rows, columns = 32, 64
    up, down = _colour(rng) * 0.3 + 0.7, _colour(rng) * 0.4
    ramp = np.linspace(0, 1, rows)[:, None, None] ** rng.uniform(0.5, 2)
    light = (up * (1 - ramp) + down * ramp) * np.ones((rows, columns, 3)) * rng.uniform(0.2, 0.8)
    if rng.random() < 0.5:
        part = crop(pictures[rng.integers(len(pictures))], rng, columns)[::2]
        light = light * 0.3 + (part / 255.0) ** 2.2 * rng.uniform(0.5, 1.5)
    for _ in range(rng.integers(0, 5)):
        top, left = int(rng.integers(0, int(rows * 0.6))), int(rng.integers(0, columns))
        tall, wide = int(rng.integers(1, 10)), int(rng.integers(1, 14))
        where = np.arange(left, left + wide) % columns
        light[top : top + tall, where] += rng.uniform(0.8, 6) * (0.8 + 0.2 * _colour(rng))
    levels = [light]
    for sigma in (2.0, 9.0):
        thrice = np.concatenate([light, light, light], axis=1).astype(np.float32)
        blurred = cv2.GaussianBlur(thrice, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        levels.append(blurred[:, columns : 2 * columns])
    return np.stack(levels).astype(np.float32)
