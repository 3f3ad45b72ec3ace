"""Textures and photographs to draw with: scikit-image's own, and made ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import Image

from packshot_pocket.pretrain.sunlit.places import fractal_noise
from packshot_pocket.pretrain.sunlit.solids import Array, array

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png",
    "clock_motion.png", "grass.png", "gravel.png", "motorcycle_left.png", "page.png", "rocket.jpg",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "retina.jpg", "text.png",
)  # fmt: skip
"""Pictures without a visible sun in scikit-image's package."""
_TEXTURES = (
    "brick.png",
    "grass.png",
    "gravel.png",
    "coins.png",
    "coffee.png",
    "chelsea.png",
    "ihc.png",
)
_SIDE = 256


def photographs(names: tuple[str, ...] = PHOTOGRAPHS) -> list[Array]:
    """Pictures of scikit-image's package, uint8 [h, w, 3]."""
    folder = Path(skimage.data.__file__).parent
    found = []
    for name in names:
        with Image.open(folder / name) as opened:
            found.append(np.asarray(opened.convert("RGB")))
    return found


def textures(seed: int = 0) -> list[Array]:
    """Albedos, linear [256, 256, 3], that repeat without a seam: of photographs, and made ones."""
    rng = np.random.default_rng(seed)
    made = [_repeating(_crop(picture, rng)) for picture in photographs(_TEXTURES) for _ in range(2)]
    made += [
        _flat(rng),
        _flat(rng),
        _cloudy(rng),
        _cloudy(rng),
        _tiles(rng),
        _tiles(rng),
        _planks(rng),
    ]
    return [one.astype(np.float32) for one in made]


def _crop(picture: Array, rng: np.random.Generator) -> Array:
    side = int(rng.uniform(0.5, 1) * min(picture.shape[:2]))
    top, left = (int(rng.integers(0, size - side + 1)) for size in picture.shape[:2])
    part = picture[top : top + side, left : left + side].astype(np.float32) / 255
    return cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) ** 2.2


def _repeating(part: Array) -> Array:
    """Crossed with itself moved by half, so that its edges fit (and large differences are gone)."""
    part = part / (cv2.GaussianBlur(part, (0, 0), 40) + 0.02)
    ramp = np.abs(np.linspace(-1, 1, _SIDE, dtype=np.float32))
    edge = np.maximum(ramp[:, None], ramp[None])[..., None] ** 4
    moved = np.roll(part, (_SIDE // 2, _SIDE // 2), (0, 1))
    return part * (1 - edge) + moved * edge


def _flat(rng: np.random.Generator) -> Array:
    return 0.5 + rng.normal(0, 0.02, (_SIDE, _SIDE, 1)) * np.ones(3)


def _cloudy(rng: np.random.Generator) -> Array:
    return _repeating(0.5 + 0.12 * fractal_noise(rng, _SIDE, 6)[..., None] * np.ones(3, np.float32))


def _tiles(rng: np.random.Generator) -> Array:
    cells = int(rng.integers(3, 9))
    tile = rng.uniform(0.3, 0.8, (cells, cells)).astype(np.float32)
    grid = cv2.resize(tile, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    grout = (np.arange(_SIDE) * cells % _SIDE) < cells * 4
    grid[grout] = grid[:, grout] = rng.uniform(0.1, 0.9)
    return grid[..., None] * np.ones(3)


def _planks(rng: np.random.Generator) -> Array:
    grain = cv2.GaussianBlur(
        rng.normal(0, 1, (_SIDE, _SIDE)).astype(np.float32), (0, 0), 25, None, 0.7
    )
    wood = 0.5 + 0.1 * grain / grain.std()
    wood[:: _SIDE // 6] *= 0.4
    return wood[..., None] * array([1.1, 0.9, 0.6])
