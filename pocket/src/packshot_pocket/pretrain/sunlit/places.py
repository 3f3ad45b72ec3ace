"""Places with things in them, lit by a sun or an overcast sky, and pictures of them by rays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, radians, sin, sqrt

import cv2
import numpy as np

from packshot_pocket.pretrain.sunlit.solids import NEVER, Array, Coat, Solid, array, lit, nearest
from packshot_pocket.pretrain.sunlit.things import THINGS

Random = np.random.Generator
SKY = {"clear": (0.72, 0.9, 1.3), "hazy": (0.95, 1.0, 1.08), "overcast": (1.0, 1.0, 1.02)}
"""Colours of the light from the sky."""
_TINTS = (
    (1, 1, 1), (1, 1, 1), (1, 1, 1), (1.1, 1, 0.9), (1.25, 1, 0.7), (1.35, 1, 0.6), (1.5, 0.9, 0.65),
    (0.9, 1.15, 0.5), (0.8, 1.2, 0.6), (0.9, 1, 1.2), (1.6, 0.6, 0.5), (0.6, 0.9, 1.5),
)  # fmt: skip
"""Of stone, sand, wood, brick, grass, slate and paint."""
_FAR = 80.0
_WIDEST_DEGREES = 12
"""Angular radius of a light whose shadows have no edge left."""


@dataclass(frozen=True)
class Sun:
    """A light: unit vector towards it, colour times strength beside a sky of 1, angular radius."""

    direction: Array
    strength: float
    colour: tuple[float, float, float]
    radius_degrees: float

    @classmethod
    def draw(cls, rng: Random, sky: str) -> Sun:
        """A random one, high to low; it is wide in a hazy sky, and has no strength in an overcast one."""
        azimuth, height = rng.uniform(0, 2 * pi), radians(8 + 67 * rng.beta(1.6, 1.8))
        direction = np.array(
            [cos(azimuth) * cos(height), sin(azimuth) * cos(height), sin(height)], np.float32
        )
        warm = max(0.0, 1 - height / radians(35)) * rng.uniform(0.2, 1)
        colour = 1.0, 0.97 - 0.25 * warm, 0.9 - 0.5 * warm
        if sky == "clear":
            return cls(direction, rng.uniform(2, 8), colour, 0.3)
        if sky == "hazy":
            return cls(direction, rng.uniform(1.2, 3), colour, rng.uniform(2, 9))
        return cls(direction, 0.0, colour, 90)

    @property
    def hardness(self) -> float:
        """1 for a clear sun, 0 for none."""
        return max(0.0, 1 - self.radius_degrees / _WIDEST_DEGREES) if self.strength else 0.0

    def points(self, rng: Random) -> list[Array]:
        """Directions to points of its disc: one, if it is small."""
        if self.radius_degrees < 1:
            return [self.direction]
        spread = rng.normal(0, radians(self.radius_degrees) / 2, (7, 3))
        return [unit(self.direction + each) for each in spread]


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] of length 1."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """A camera one length above the ground, turned down by `pitch`; `focal` is in picture widths."""

    pitch: float
    focal: float
    aspect: float

    @classmethod
    def draw(cls, rng: Random) -> Camera:
        pitch = rng.choice([0.0, rng.uniform(0, 0.2), rng.uniform(0.1, 0.8)], p=[0.3, 0.35, 0.35])
        return cls(float(pitch), rng.uniform(0.75, 2.0), rng.choice([1, 4 / 3, 1.5, 16 / 9, 0.75]))

    def rays(self, side: int) -> Array:
        """Unit vectors [side * side, 3] of a picture squeezed into a square."""
        steps = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
        x, y = np.meshgrid(steps, steps / np.float32(self.aspect))
        return unit(self._turned(x.ravel(), np.full(side * side, self.focal), -y.ravel()))

    def on_ground(self, x: float, y: float) -> tuple[float, float] | None:
        """The ground seen at (x, y), each -0.5 to 0.5; None in the sky, or very far away."""
        seen = (array(v) for v in (x, self.focal, -y / self.aspect))
        right, away, up = (float(v) for v in self._turned(*seen))
        return None if up >= -0.03 * self.focal else (-right / up, -away / up)

    def _turned(self, right: Array, away: Array, up: Array) -> Array:
        low, level = sin(self.pitch), cos(self.pitch)
        return np.stack([right, away * level + up * low, up * level - away * low], -1)


@dataclass(frozen=True)
class Place:
    """All that is drawn. `relief`: how steep the ground's texture is; `behind`: the far colour."""

    camera: Camera
    sun: Sun
    sky: str
    solids: Sequence[Solid]
    ground: Coat
    relief: float
    behind: tuple[float, float, float]
    hills: float


def draw_place(
    rng: Random, kinds: Sequence[str], textures: Sequence[Array], sky: str = ""
) -> Place:
    """A random place with things of some of these kinds, under this sky or any."""
    sky = sky or str(rng.choice(list(SKY), p=[0.6, 0.12, 0.28]))
    camera = Camera.draw(rng)

    def coat() -> Coat:
        return draw_coat(rng, textures)

    solids: list[Solid] = []
    for _ in range(int(rng.choice([1, 2, 3, 5], p=[0.35, 0.3, 0.2, 0.15]))):
        foot = None
        while foot is None:
            foot = camera.on_ground(rng.uniform(-0.4, 0.4), rng.uniform(-0.45, 0.4))
        distance = sqrt(1 + foot[0] ** 2 + foot[1] ** 2)
        tall = distance / camera.focal * rng.uniform(0.1, 0.55)
        solids += THINGS[str(rng.choice(kinds))](rng, foot, tall, coat)
    unseen = rng.random()
    if unseen < 0.2:
        solids.append(_wall(rng, solids, coat()))
    elif unseen < 0.35:  # beside or behind the camera
        far, side = rng.uniform(1.5, 5), rng.uniform(pi, 2 * pi)
        foot = far * cos(side), far * sin(side)
        solids += THINGS[str(rng.choice(["tree", "house", "post"]))](
            rng, foot, rng.uniform(1, 4), coat
        )
    behind = rng.uniform(0.12, 0.6, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0.1, 0.5))
    return Place(
        camera, Sun.draw(rng, sky), sky, solids, coat(), float(rng.choice([0, 0.25, 0.7])),
        tuple(behind), float(rng.choice([0, rng.uniform(0.02, 0.3)])),
    )  # fmt: skip


def _wall(rng: Random, before: Sequence[Solid], coat: Coat) -> Solid:
    away = max(s.centre[1] + max(s.half[:2]) for s in before) * rng.uniform(1.1, 2)
    turn = rng.uniform(-0.25, 0.25)
    centre = -50 * sin(turn), away + 50 * cos(turn), 0
    return Solid("box", centre, (400, 50, 30), turn, coat)


def draw_coat(rng: Random, textures: Sequence[Array]) -> Coat:
    """A texture, tinted and made flatter or not."""
    texture = np.rot90(textures[int(rng.integers(len(textures)))], int(rng.integers(4)))
    level = rng.uniform(0.1, 0.75)
    tint = array(_TINTS[int(rng.integers(len(_TINTS)))]) * rng.uniform(0.8, 1.2, 3)
    if rng.random() < 0.15:
        tint = rng.uniform(0.3, 1.5, 3)
    contrast = rng.choice([0.05, 0.5, 1.0], p=[0.3, 0.35, 0.35])
    varied = 1 + contrast * (texture / texture.mean() - 1)
    albedo = (level * tint * varied).clip(0.02, 0.95)
    return Coat(np.ascontiguousarray(albedo, np.float32), float(2 ** rng.uniform(-2, 2)))


@dataclass(frozen=True)
class Picture:
    """A picture [side, side]: linear light [..., 3], distances, and how far the sun reaches the ground.

    `sunlit` is 0 in cast shade and 1 where nothing is in the way (or no sun shines), and negative
    where there is no ground.
    """

    light: Array
    distance: Array
    sunlit: Array


def picture_of(place: Place, rng: Random, side: int) -> Picture:
    """The place as the camera sees it."""
    rays = place.camera.rays(side)
    eye = np.broadcast_to(np.array([0, 0, 1], np.float32), rays.shape)
    distance, number = nearest(place.solids, eye, rays)
    down = np.where(rays[:, 2] < -1e-4, -1 / np.minimum(rays[:, 2], -1e-4), NEVER)
    number = np.where(down < distance, len(place.solids), number)
    distance = np.minimum(distance, down)
    number[distance > _FAR] = -1
    colours = _behind(place, rays, rng)
    met = number >= 0
    points = eye[met] + distance[met, None] * rays[met]
    colours[met], reached = _surface(place, points, number[met], distance[met], rng)
    sunlit = np.full(len(rays), -1, np.float32)
    ground = number[met] == len(place.solids)
    sunlit[np.flatnonzero(met)[ground]] = reached[ground]
    haze = (1 - np.exp(-distance.clip(0, _FAR) / 60))[:, None] * met[:, None]
    colours = colours + haze.astype(np.float32) * (array(SKY[place.sky]) * 0.7 - colours)
    flat = distance.clip(0, _FAR).reshape(side, side)
    return Picture(colours.reshape(side, side, 3), flat, sunlit.reshape(side, side))


def _surface(
    place: Place, points: Array, number: Array, distance: Array, rng: Random
) -> tuple[Array, Array]:
    """Albedo times light, of the sun and of the sky where they are not hidden; the share of the sun."""
    normals = np.zeros_like(points)
    normals[:, 2] = 1
    albedo = np.empty_like(points)
    ground = number == len(place.solids)
    albedo[ground] = place.ground.at(points[ground, 0], points[ground, 1], distance[ground])
    normals[ground] = _rough(place, points[ground], albedo[ground])
    for index, solid in enumerate(place.solids):
        own = number == index
        if own.any():
            normals[own] = solid.normals(points[own])
            albedo[own] = solid.albedo(points[own], distance[own])
    sky = (0.55 + 0.45 * normals[:, 2]) * _open(place.solids, points, normals)
    light = sky[:, None] * array(SKY[place.sky])
    reached = np.ones(len(points), np.float32)
    if place.sun.strength:
        facing = (normals @ place.sun.direction).clip(0)
        reached, discs = np.zeros(len(points), np.float32), place.sun.points(rng)
        for towards in discs:
            reached += lit(place.solids, points + np.float32(2e-3) * normals, towards) / len(discs)
        strength = array(place.sun.colour) * np.float32(place.sun.strength)
        light = light + (facing * reached)[:, None] * strength
    return (albedo * light).astype(np.float32), reached


def _rough(place: Place, points: Array, albedo: Array) -> Array:
    """Normals of the ground, as if it were higher where its texture is lighter."""
    normals = np.zeros_like(points)
    normals[:, 2] = 1
    if place.relief:
        step = np.float32(0.5 / (place.ground.per_length * place.ground.texture.shape[0]))
        near = np.full(len(points), 0.05, np.float32)
        own = albedo.mean(axis=1)
        for axis in (0, 1):
            moved = points[:, :2] + step * np.eye(2, dtype=np.float32)[axis]
            beside = place.ground.at(moved[:, 0], moved[:, 1], near).mean(axis=1)
            normals[:, axis] = -place.relief * 8 * (beside - own)
    return unit(normals)


def _open(solids: Sequence[Solid], points: Array, normals: Array) -> Array:
    """The share of the sky that is seen from points: solids hide it as balls of their size would."""
    seen = np.ones(len(points), np.float32)
    for solid in solids:
        if solid.half[0] > 100:
            continue
        way = array(solid.centre) - points
        far = np.linalg.norm(way, axis=1)
        radius = np.float32(solid.radius)
        facing = (way * normals).sum(axis=1) / np.maximum(far, 1e-6)
        hidden = (facing * 0.7 + 0.3).clip(0) * (radius / np.maximum(far, radius)) ** 2
        seen *= 1 - np.float32(0.75) * hidden
    return seen


def _behind(place: Place, rays: Array, rng: Random) -> Array:
    """The sky with its clouds, brighter near the sun, and far hills."""
    up = rays[:, 2].clip(0, 1)
    side = round(sqrt(len(rays)))
    clouds = fractal_noise(rng, side, 3).ravel()
    zenith = array(SKY[place.sky]) * rng.uniform(0.5, 1.0)
    level = np.full(3, rng.uniform(0.9, 1.5), np.float32)
    sky = level + (zenith - level) * (up**0.5)[:, None]
    cover = (clouds - rng.uniform(-0.5, 1.5)).clip(0, 1)[:, None] * (
        1 if place.sky != "overcast" else 0.25
    )
    sky = sky + cover * (1.7 - sky)
    if place.sun.strength:
        near = (rays @ place.sun.direction).clip(0, 1)
        glow = rng.uniform(0.1, 0.7) * near**4 + rng.uniform(0, 3) * near**60
        sky = sky * (1 + glow[:, None] * array(place.sun.colour))
    if place.hills:
        azimuth = np.arctan2(rays[:, 0], rays[:, 1])
        rugged = fractal_noise(rng, 256, 4)[0]
        heights = place.hills * (1 + np.interp(azimuth, np.linspace(-pi / 2, pi / 2, 256), rugged))
        hill = rays[:, 2] < heights / 3
        leaves = fractal_noise(rng, side, 12).ravel()[:, None]
        gain = 1 + 0.3 * place.sun.strength * rng.uniform(0.3, 1)
        sky[hill] = (array(place.behind) * gain * (1 + 0.35 * leaves))[hill]
    return sky.clip(0, 30).astype(np.float32)


def fractal_noise(rng: Random, side: int, coarse: int) -> Array:
    """Noise [side, side] of mean 0 and deviation 1, of octaves from `coarse` cells a side."""
    noise, share, cells = np.zeros((side, side), np.float32), 1.0, coarse
    while cells < side and share > 0.05:
        octave = rng.standard_normal((cells, cells)).astype(np.float32)
        noise += share * cv2.resize(octave, (side, side), interpolation=cv2.INTER_CUBIC)
        share, cells = share * 0.55, cells * 2
    return (noise - noise.mean()) / noise.std()
