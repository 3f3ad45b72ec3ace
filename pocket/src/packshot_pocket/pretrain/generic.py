"""Generic synthetic images, so that the VAE generalises beyond rendered cars.

Gradients, shapes, stripes, noise and lettering, drawn in milliseconds.
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from packshot_pocket.pretrain.data import PIXELS, Pixels

_LETTERS = string.ascii_letters + string.digits
_FONT_PIXELS = (9, 12, 16, 22, 32, 48)
Rng = np.random.Generator


def generic_pictures(count: int, seed: int) -> Pixels:
    """`count` pictures, uint8 [count, 128, 128, 3]; the same for the same seed."""
    fonts = [ImageFont.load_default(size) for size in _FONT_PIXELS]
    return np.stack([_picture(np.random.default_rng([seed, i]), fonts) for i in range(count)])


def _picture(rng: Rng, fonts: list[Any]) -> Pixels:
    image = Image.fromarray(_background(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 9)):
        _shape(draw, rng)
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 5)):
            _letters(draw, rng, fonts)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.5))))
    grain = rng.normal(0, rng.choice([0.0, 1.5, 4.0]), (PIXELS, PIXELS, 3))
    return np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)


def _background(rng: Rng) -> Pixels:
    """A gradient between two colours, bent by cloudy noise, or stripes, or both."""
    across, down = np.meshgrid(np.linspace(0, 1, PIXELS), np.linspace(0, 1, PIXELS))
    angle = rng.uniform(0, 2 * np.pi)
    ramp = across * np.cos(angle) + down * np.sin(angle)
    if rng.random() < 0.3:
        ramp = 0.5 + 0.5 * np.sin(ramp * rng.uniform(6, 90))
    ramp = ramp + rng.choice([0.0, 0.3, 1.0]) * _clouds(rng)
    low, high = rng.uniform(0, 255, (2, 3))
    return np.clip(low + (high - low) * ramp[..., None], 0, 255).astype(np.uint8)


def _clouds(rng: Rng) -> np.ndarray[Any, Any]:
    """Noise of several octaves, [128, 128], about -1..1."""
    total = np.zeros((PIXELS, PIXELS))
    roughness = rng.uniform(0.35, 0.9)
    for octave in range(2, 7):
        coarse = rng.normal(0, 1, (2**octave, 2**octave)).astype(np.float32)
        layer = Image.fromarray(coarse).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
        total += np.asarray(layer) * roughness ** (octave - 1)
    return total / 2


def _shape(draw: ImageDraw.ImageDraw, rng: Rng) -> None:
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    (left, top), (width, height) = rng.integers(-20, PIXELS, 2), rng.integers(4, 80, 2)
    box = (int(left), int(top), int(left + width), int(top + height))
    kind = rng.integers(0, 4)
    if kind == 0:
        draw.ellipse(box, fill=colour)
    elif kind == 1:
        draw.rectangle(box, fill=colour)
    elif kind == 2:
        corners = rng.integers(-10, PIXELS + 10, (int(rng.integers(3, 6)), 2))
        draw.polygon([(int(x), int(y)) for x, y in corners], fill=colour)
    else:
        draw.line(box, fill=colour, width=int(rng.integers(1, 7)))


def _letters(draw: ImageDraw.ImageDraw, rng: Rng, fonts: list[Any]) -> None:
    text = "".join(rng.choice(list(_LETTERS), rng.integers(1, 9)))
    x, y = (int(v) for v in rng.integers(-5, PIXELS - 20, 2))
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    draw.text((x, y), text, fill=colour, font=fonts[rng.integers(0, len(fonts))])
