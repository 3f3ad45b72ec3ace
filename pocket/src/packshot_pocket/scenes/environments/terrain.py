"""Ground that settings are made of: flat, rolling, tinted by chance."""

from __future__ import annotations

import numpy as np

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.shape import Array, Shape

Random = np.random.Generator


def tint(rng: Random, rgb: Colour, amount: float = 0.12) -> Colour:
    gain = rng.uniform(1 - amount, 1 + amount) * rng.uniform(1 - amount / 2, 1 + amount / 2, 3)
    r, g, b = np.clip(np.asarray(rgb) * gain, 0, 0.9)
    return float(r), float(g), float(b)


def fractal(rng: Random, size: int, roughness: float) -> Array:
    """Smooth noise in -1..1 on a square grid, by filtering white noise; larger is smoother."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency[None])
    radius[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(size, size))) / radius**roughness
    spectrum[0, 0] = 0
    field = np.real(np.fft.ifft2(spectrum))
    return field / np.abs(field).max()


def terrain(
    shape: Shape,
    height: Array,
    near: float,
    far: float,
    half: float,
    material: str,
    power: float = 1.6,
) -> None:
    """A height field behind the car: rows from near to far, wider with distance."""
    rows, columns = height.shape
    y = near + (far - near) * np.linspace(0, 1, rows) ** power
    x = np.linspace(-1, 1, columns)
    spread = half * (0.35 + 0.65 * (y - near) / (far - near))
    points = np.stack((x[None] * spread[:, None], np.repeat(y[:, None], columns, 1), height), -1)
    shape.grid(points, material)


def flat(material: str, shape: Shape, near: float = -60, far: float = 400, z: float = 0.0) -> None:
    corners = [(-400, near, z), (400, near, z), (400, far, z), (-400, far, z)]
    shape.add(np.array(corners), np.array([[0, 1, 2, 3]]), material)


def emerge(size: int, start: float, full: float) -> Array:
    """0 at the near rows, 1 from `full` on: terrain rises smoothly out of flat ground."""
    rows = np.clip((np.linspace(0, 1, size) - start) / (full - start), 0, 1)
    return (rows * rows * (3 - 2 * rows))[:, None]
