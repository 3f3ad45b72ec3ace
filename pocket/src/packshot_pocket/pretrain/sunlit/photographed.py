"""Making a picture look like a photograph: exposure, colours, lens, noise, sharpening, JPEG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from packshot_pocket.pretrain.sunlit.solids import Array

Random = np.random.Generator
Pixels = npt.NDArray[np.uint8]


def photographed(light: Array, rng: Random, side: int) -> Pixels:
    """A photograph of linear light [h, w, 3], uint8 sRGB [side, side, 3]."""
    seen = _lens(light, rng)
    level = float(np.quantile(seen.mean(axis=2), rng.uniform(0.4, 0.9))) + 1e-3
    seen = seen * (rng.uniform(0.25, 0.75) / level) * rng.uniform(0.85, 1.18, 3)
    seen = _noisy(seen, rng)
    shown = _developed(seen, rng)
    return _saved(shown, rng, side)


def linear(pixels: npt.NDArray[Any]) -> Array:
    """About the linear light of sRGB uint8."""
    return (pixels.astype(np.float32) / 255) ** np.float32(2.2)


def random_part(light: Array, rng: Random) -> Array:
    """A part of a picture, as if it were framed otherwise."""
    height, width = light.shape[:2]
    tall, wide = (int(size * rng.uniform(0.65, 1)) for size in (height, width))
    top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    return light[top : top + tall, left : left + wide]


def _lens(light: Array, rng: Random) -> Array:
    """Blur, and corners that are darker."""
    if rng.random() < 0.4:
        light = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.3, 1.6)))
    if rng.random() < 0.35:
        height, width = light.shape[:2]
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        light = light * (1 - rng.uniform(0.1, 0.6) * (x**2 + y**2) / 2)[..., None]
    return light.astype(np.float32)


def _noisy(light: Array, rng: Random) -> Array:
    """Shot noise and read noise, somewhat smoothed as by demosaicing."""
    shot, read = rng.choice([0.0, 0.02, 0.06]), rng.choice([0.0, 0.004, 0.015])
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    if rng.random() < 0.5:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.6)
    deviation = np.sqrt(shot**2 * light.clip(0) + read**2)
    return (light + grain * deviation).astype(np.float32)


def _developed(light: Array, rng: Random) -> Array:
    """Tone curve, saturation and local contrast, in [0, 1]."""
    if rng.random() < 0.5:  # highlights rolled off instead of clipped
        light = 1 - np.exp(-1.6 * light.clip(0))
    shown = light.clip(0, 1) ** np.float32(1 / rng.uniform(1.7, 2.6))
    contrast = rng.uniform(-0.1, 0.6)
    shown = shown + contrast * (shown * shown * (3 - 2 * shown) - shown)
    if rng.random() < 0.25:  # faded blacks, as filters make them
        shown = rng.uniform(0, 0.15) + shown * rng.uniform(0.8, 0.95)
    grey = shown.mean(axis=2, keepdims=True)
    shown = grey + (shown - grey) * (0.0 if rng.random() < 0.08 else rng.uniform(0.4, 1.5))
    if rng.random() < 0.4:
        wide = cv2.GaussianBlur(shown, (0, 0), float(rng.uniform(0.7, 6)))
        shown = shown + rng.uniform(0.2, 0.9) * (shown - wide)
    return shown.clip(0, 1).astype(np.float32)


def _saved(shown: Array, rng: Random, side: int) -> Pixels:
    """Through JPEG at some size and quality, then resized."""
    pixels: Any = (shown * 255).round().astype(np.uint8)
    if rng.random() < 0.7:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
