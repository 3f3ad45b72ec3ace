"""The sky by day, at sunset and at night, and lamps."""

from __future__ import annotations

from collections.abc import Callable
from math import radians

import bpy

from packshot_pocket.scenes.colours import Colour
from packshot_pocket.scenes.environments.terrain import Random, tint
from packshot_pocket.scenes.materials import mixed, sky


def _lamp(kind: str, rgb: Colour, energy: float) -> bpy.types.Object:
    data = bpy.data.lights.new(kind.lower(), kind)
    data.color, data.energy = rgb, energy
    lamp = bpy.data.objects.new(kind.lower(), data)
    bpy.context.scene.collection.objects.link(lamp)
    return lamp


def area(
    place: tuple[float, float, float],
    aim: tuple[float, float, float],
    size: float,
    energy: float,
    rgb: Colour = (1, 1, 1),
) -> None:
    """A soft square light at a place, turned to a point."""
    lamp = _lamp("AREA", rgb, energy)
    lamp.data.size = size
    lamp.location = place
    away = lamp.location.copy()
    away.xyz = tuple(p - a for p, a in zip(place, aim, strict=True))
    lamp.rotation_euler = away.to_track_quat("Z", "Y").to_euler()


def sun(
    rng: Random, elevation: float, azimuth: float, rgb: Colour, energy: float, softness: float
) -> None:
    """Azimuth 0 shines from behind the camera; positive from its left."""
    sun = _lamp("SUN", rgb, energy)
    sun.data.angle = radians(softness)
    sun.rotation_euler = (radians(90 - elevation), 0, radians(-azimuth))


def turn_sun(degrees: float) -> None:
    """Let the scene's suns shine from elsewhere, as high as before."""
    for lamp in _suns():
        lamp.rotation_euler.z += radians(degrees)


def cover_sun(rng: Random) -> None:
    """Let the scene be lit by an overcast sky alone."""
    for lamp in _suns():
        lamp.data.energy = 0.0
    grey = (rng.uniform(0.5, 0.9),) * 3
    sky([(0, tint(rng, grey, 0.08)), (1, grey)], (1, 1, 1), rng.choice((0, 0.6)), 1.0, 0)


def _suns() -> list[bpy.types.Object]:
    lamps = [made for made in bpy.context.scene.objects if made.type == "LIGHT"]
    return [lamp for lamp in lamps if lamp.data.type == "SUN"]


def _day(rng: Random) -> None:
    haze = tint(rng, (0.52, 0.68, 0.86), 0.08)
    zenith = tint(rng, (0.10, 0.28, 0.72), 0.15)
    sky(
        [
            (0.0, haze),
            (0.12, mixed(haze, zenith, 0.45)),
            (0.55, zenith),
        ],
        (0.88, 0.90, 0.93),
        rng.choice((0, 0.3, 0.6, 0.9)),
        rng.uniform(0.8, 1.0),
        rng.uniform(0, 50),
    )
    azimuth = rng.choice((-1, 1)) * rng.uniform(15, 75)
    sun(rng, rng.uniform(30, 58), azimuth, (1, 0.95, 0.87), rng.uniform(3.2, 4.4), 1.0)


def _sunset(rng: Random) -> None:
    glow = tint(rng, (0.95, 0.36, 0.09), 0.12)
    rose = tint(rng, (0.72, 0.27, 0.28), 0.15)
    sky(
        [(0.0, glow), (0.09, (0.9, 0.42, 0.20)), (0.24, rose), (0.5, (0.20, 0.21, 0.42))],
        (0.92, 0.40, 0.24),
        rng.choice((0.3, 0.6, 0.9)),
        rng.uniform(0.85, 1.05),
        rng.uniform(0, 50),
    )
    azimuth = rng.choice((-1, 1)) * rng.uniform(20, 62)
    sun(rng, rng.uniform(11, 19), azimuth, (1, 0.62, 0.36), rng.uniform(4.0, 5.0), 1.5)


def _night(rng: Random) -> None:
    sky(
        [(0.0, (0.020, 0.034, 0.085)), (0.25, (0.008, 0.015, 0.05)), (0.7, (0.003, 0.005, 0.02))],
        (0.03, 0.04, 0.08),
        0.3,
        rng.uniform(0.9, 1.3),
        rng.uniform(0, 50),
    )
    sun(rng, 40, rng.uniform(-60, 60), (0.45, 0.6, 1.0), rng.uniform(0.10, 0.2), 2)
    side = rng.choice((-1, 1))
    warm: Colour = (1, 0.80, 0.55) if rng.random() < 0.6 else (0.85, 0.93, 1)
    area(
        (side * rng.uniform(3, 5), -rng.uniform(3, 6), rng.uniform(4.5, 6)),
        (0, 0, 0.5),
        1.5,
        rng.uniform(420, 640),
        warm,
    )
    area((-side * 5, 1.5, 5), (0, 0, 0.5), 1.2, rng.uniform(120, 240), warm)


LIGHT: dict[str, Callable[[Random], None]] = {"day": _day, "sunset": _sunset, "night": _night}
