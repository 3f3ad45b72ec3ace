"""A scene: the product, what it stands on, what is beside, before and behind it; and its photograph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from packshot_pocket.pretrain.shots.bank import Bank, Random, crop
from packshot_pocket.pretrain.shots.cars import draw_car
from packshot_pocket.pretrain.shots.meshes import (
    Array,
    Coat,
    Surface,
    curve,
    lathe,
    rounded,
    tube,
    turn,
)
from packshot_pocket.pretrain.shots.products import Coats, Thing, draw_thing, standing
from packshot_pocket.pretrain.shots.raster import FAR, Camera, ShadowMap, draw, light_up
from packshot_pocket.pretrain.sunlit.photographed import photographed

SIDE = 256
_DRAWN = 384
"""Side of the pictures before they are made smaller, so that edges are smooth."""
_REACH = 2.6
_SHADOW = 300
_IDENTITY = np.eye(3, dtype=np.float32)
_ASPHALT = 0.4
"""How often cars stand on ground that is hardly paler than their tyres."""


@dataclass
class Scene:
    """Surfaces, of which some are the product, before a background (linear light, or none)."""

    product: Thing
    others: Thing
    camera: Camera
    background: Array | None
    glassy: float = 0.0
    sunny: float = 1.0
    """Times what suns are otherwise."""
    closed: tuple[float, float, int] = (0.85, 9.0, 0)
    """How much of the sky is hidden below things; how softly that ends, and how far beside them: texels."""


def draw_shot(bank: Bank, seed: tuple[int, ...]) -> tuple[Array, Array]:
    """A photograph uint8 [256, 256, 3] and the product's mask uint8 [256, 256]: a function of the seed."""
    return _draw(bank, seed, _scene_of_a_thing)


def draw_car_shot(bank: Bank, seed: tuple[int, ...]) -> tuple[Array, Array]:
    """As `draw_shot`, of a car outside or in a studio."""
    return _draw(bank, seed, _scene_of_a_car)


def _draw(
    bank: Bank, seed: tuple[int, ...], compose: Callable[[Bank, Random], Scene]
) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    while True:
        scene = compose(bank, rng)
        light, mask = picture_of(scene, bank, rng)
        if 0.012 < mask.mean() < 0.6:
            break
    pixels = photographed(light, rng, SIDE)
    shown = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return pixels, (shown * 255).round().astype(np.uint8)


def _scene_of_a_thing(bank: Bank, rng: Random) -> Scene:
    coats = Coats(bank, rng)
    product = draw_thing(bank, rng)
    others: Thing = []
    lift = 0.0
    if rng.random() < 0.3:
        lift, support = _support(coats, product, rng)
        others += support
    if rng.random() < 0.07:
        lift += rng.uniform(0.1, 0.6)  # in the air, or held
        if rng.random() < 0.7:
            others += _hand(lift, product, rng)
        elif rng.random() < 0.6:
            others += _wearer(coats, lift, product, rng)
    product = [surface.moved(_IDENTITY, (0, lift, 0)) for surface in product]
    if rng.random() < 0.1:
        others += _twigs(coats, product, rng)
    if rng.random() < 0.5:
        others += _neighbours(bank, rng)
    if rng.random() < 0.12:
        others += _grass(coats, product, rng)
    camera = _camera(product, rng)
    grounds, background = surroundings(bank, coats, camera, rng)
    if rng.random() < 0.08:
        others += _before(bank, camera, rng)
    glassy = float(rng.uniform(0.3, 0.8)) if rng.random() < 0.05 else 0.0
    return Scene(product, others + grounds, camera, background, glassy)


def _scene_of_a_car(bank: Bank, rng: Random) -> Scene:
    coats = Coats(bank, rng)
    car = _turned_car(coats, rng)
    others: Thing = []
    for chance, part in ((0.4, _parked), (0.3, _neighbours)):
        if rng.random() < chance:
            others += part(bank, rng)
    if rng.random() < 0.2:
        others += _grass(coats, car, rng)
    if rng.random() < 0.4:
        others += _street_lines(coats, rng)
    camera = _camera(car, rng)
    dark = rng.uniform(0.015, 0.08) if rng.random() < _ASPHALT else None
    grounds, background = surroundings(bank, coats, camera, rng, (0.4, 0.42, 0.18, 0), dark)
    sunny = float(rng.choice([1, rng.uniform(1.5, 5)]))
    # Beneath a car it is as black as its tyres.
    closed = float(rng.uniform(0.85, 1)), float(rng.uniform(1.5, 8)), int(rng.integers(0, 9))
    return Scene(car, others + grounds, camera, background, sunny=sunny, closed=closed)


def _turned_car(coats: Coats, rng: Random) -> Thing:
    spin = turn("y", rng.uniform(0, 2 * np.pi))
    return standing([surface.moved(spin) for surface in draw_car(coats, rng)])


def _parked(bank: Bank, rng: Random) -> Thing:
    """Cars behind, as large as the first."""
    parts: Thing = []
    for _ in range(rng.integers(1, 4)):
        at = (rng.uniform(-2.5, 2.5), 0, -rng.uniform(1.1, 4))
        parts += [part.moved(_IDENTITY, at) for part in _turned_car(Coats(bank, rng), rng)]
    return parts


def _street_lines(coats: Coats, rng: Random) -> Thing:
    """Pale bands painted on the ground, some of them under the car."""
    pale = rng.uniform(0.3, 1)
    coat = Coat(int(coats.bank.kinds["plain"][0]), (1, 1), (pale, pale, pale), 0.04, 0, 0.2)
    way = turn("y", rng.uniform(0, np.pi))
    wide = rng.uniform(0.02, 0.06)
    return [
        _plane(np.array([start, 0.003, across]), (rng.uniform(0.5, 2.4), 0, 0), (0, 0, wide), coat).moved(way)
        for start, across in rng.uniform(-1.6, 1.2, (int(rng.integers(1, 5)), 2))
    ]  # fmt: skip


def _extent(thing: Thing) -> tuple[Array, Array]:
    points = np.concatenate([surface.points.reshape(-1, 3) for surface in thing])
    return points.min(axis=0), points.max(axis=0)


def _camera(product: Thing, rng: Random) -> Camera:
    low, high = _extent(product)
    field = rng.uniform(0.15, 0.55)
    height = np.arctan(rng.choice([rng.uniform(0, 0.35), rng.uniform(0.2, 0.9), rng.uniform(0.6, 3)],
                                  p=[0.45, 0.45, 0.1]))  # fmt: skip
    size = float(np.linalg.norm(high - low)) / 2
    share = rng.uniform(0.25, 0.95) if rng.random() < 0.95 else rng.uniform(0.95, 1.3)
    distance = size / field / share
    way = np.array([0, np.sin(height), np.cos(height)])
    target = (low + high) / 2
    eye = target + distance * way
    eye[1] = max(eye[1], 0.06)
    # Off the centre, the less the larger it is.
    free = max(0.05, 1 - share) * distance * field * rng.choice([0.15, 0.6], p=[0.5, 0.5])
    shift = rng.uniform(-free, free, 2)
    target = target + np.array([shift[0], shift[1], 0])
    roll = rng.normal(0, 0.04) if rng.random() < 0.85 else rng.uniform(-0.3, 0.3)
    return Camera(eye, target, float(field), float(roll), _DRAWN)


def _support(coats: Coats, product: Thing, rng: Random) -> tuple[float, Thing]:
    """A saucer, tray, plinth, cushion or cloth below the product; its height, and it."""
    low, high = _extent(product)
    half = float(max(high[0] - low[0], high[2] - low[2])) / 2
    kind = rng.integers(0, 4)
    wide = half * rng.uniform(1.05, 2.6)
    coat = coats()
    if rng.random() < 0.25:  # much like the product
        coat = replace(product[0].coat, texture=coat.texture)
    if kind == 0:
        rise = rng.uniform(0.02, 0.16)
        radii = np.array([0, half * 0.6, wide * 0.7, wide, wide, wide * 0.6, 0], np.float32)
        heights = np.array([0.03, 0.03, 0.035, rise + 0.03, rise, 0, 0], np.float32)
        return 0.03, [lathe(radii, heights, coat)]
    if kind == 1:
        tall = rng.uniform(0.02, 1)
        size = (wide * 2, tall, wide * 2 * rng.uniform(0.6, 1))
        block = rounded(size, 0.9, coat).moved(turn("y", rng.uniform(0, 6)))
        return tall * 0.99, [block]
    if kind == 2:
        tall = rng.uniform(0.03, 0.8)
        radii = np.array([0, wide, wide, 0], np.float32)
        return tall, [lathe(radii, np.array([tall, tall, 0, 0], np.float32), coat)]
    tall = rng.uniform(0.05, 0.25)
    cushion = rounded((wide * 2.4, tall, wide * 2), rng.uniform(0.3, 0.7), coat)
    return tall * rng.uniform(0.7, 0.95), [cushion]


_SKINS = ((0.75, 0.5, 0.38), (0.55, 0.33, 0.22), (0.25, 0.13, 0.08), (0.85, 0.62, 0.5))


def _hand(lift: float, product: Thing, rng: Random) -> Thing:
    """Fingers around the product and an arm that comes from outside."""
    low, high = _extent(product)
    skin = Coat(0, (1, 1), _SKINS[rng.integers(len(_SKINS))], 0.04, 0, 0.2)
    thick = rng.uniform(0.05, 0.09)
    at = np.array([(low[0] + high[0]) / 2, lift + rng.uniform(0.0, 0.5) * (high[1] - low[1]), 0])
    half = (high[0] - low[0]) / 2
    side = rng.choice([-1, 1])
    away = np.array([side * rng.uniform(0.5, 2), -rng.uniform(0.6, 2.5), rng.uniform(-0.5, 0.5)])
    palm = at + np.array([side * half * 0.9, -0.05, -0.1])
    parts = [
        tube(
            curve(np.stack([palm, palm + away * 0.3, palm + away]), 12),
            [0.13, 0.14, 0.2],
            skin,
            0.8,
        )
    ]
    for finger in range(4):
        y = at[1] + (finger - 1.5) * thick * 1.9
        front = float(high[2]) * rng.uniform(0.5, 1) + thick
        reach = rng.uniform(-0.3, 0.6) * half * side
        path = np.array(
            [[palm[0], y, 0], [at[0] + side * half, y, front * 0.8], [at[0] + reach, y, front]]
        )
        parts.append(tube(curve(path, 10), [thick, thick, thick * 0.8], skin))
    return parts


def _wearer(coats: Coats, lift: float, product: Thing, rng: Random) -> Thing:
    """Someone's back or side behind the product, with arms and hair."""
    low, _ = _extent(product)
    wide, tall = rng.uniform(0.7, 1.3), rng.uniform(1.6, 2.6)
    base = np.array([rng.uniform(-0.2, 0.2), lift - rng.uniform(0.6, 1.2), low[2] - 0.25])
    skin = Coat(0, (1, 1), _SKINS[rng.integers(len(_SKINS))], 0.04, 0, 0.2)
    torso = rounded(
        (wide, tall, 0.6), rng.uniform(0.2, 0.5), coats("weave" if rng.random() < 0.5 else "plain")
    )
    parts = [torso.moved(_IDENTITY, base)]
    legs = rounded((wide * 0.95, tall, 0.55), 0.4, coats("weave"))
    parts.append(legs.moved(_IDENTITY, base - np.array([0, tall * 0.8, 0])))
    for x in (-1, 1):
        shoulder = base + np.array([x * wide * 0.48, tall * 0.85, 0])
        elbow = shoulder + np.array(
            [x * rng.uniform(0, 0.5), -rng.uniform(0.4, 0.9), rng.uniform(-0.2, 0.4)]
        )
        hand = elbow + np.array(
            [-x * rng.uniform(-0.3, 0.6), rng.uniform(-0.8, 0.4), rng.uniform(-0.1, 0.5)]
        )
        parts.append(tube(curve(np.stack([shoulder, elbow, hand]), 12), [0.14, 0.11, 0.07], skin))
    head = rounded((0.55, 0.75, 0.6), 0.1, coats("plain")).moved(
        _IDENTITY, base + np.array([0, tall, 0])
    )
    return [*parts, head]


def _twigs(coats: Coats, product: Thing, rng: Random) -> Thing:
    """Stems, leaves and flowers that come out of the top of the product or lie beside it."""
    low, high = _extent(product)
    green = replace(coats("plain"), tint=tuple(rng.uniform(0.02, 0.25, 3) * (0.6, 1.3, 0.4)))
    petal = replace(coats("plain"), tint=tuple(rng.uniform(0.1, 0.9, 3)))
    parts: Thing = []
    base = np.array([(low[0] + high[0]) / 2, high[1] * 0.9, 0])
    for _ in range(rng.integers(1, 6)):
        tip = base + np.array(
            [rng.uniform(-0.6, 0.6), rng.uniform(0.3, 0.9), rng.uniform(-0.4, 0.4)]
        )
        middle = (base + tip) / 2 + rng.uniform(-0.12, 0.12, 3)
        path = curve(np.stack([base, middle, tip]), 12)
        parts.append(tube(path, rng.uniform(0.006, 0.018), green, around=6))
        for _ in range(rng.integers(0, 6)):
            size = tuple(float(v) for v in rng.uniform(0.02, 0.16, 3))
            coat = petal if rng.random() < 0.5 else green
            leaf = rounded(size, 0, coat).moved(turn("z", rng.uniform(0, 3)))  # type: ignore[arg-type]
            parts.append(leaf.moved(_IDENTITY, path[int(rng.integers(4, 12))]))
    return parts


def _neighbours(bank: Bank, rng: Random) -> Thing:
    """Other things, beside and behind: smaller or farther, so that the product stays the main one."""
    parts: Thing = []
    for _ in range(rng.integers(1, 4)):
        size = rng.uniform(0.15, 0.8)
        angle = rng.uniform(-0.3, np.pi + 0.3)
        away = rng.uniform(0.55, 2.2) + size * 0.4
        at = (away * np.cos(angle), 0, -away * np.sin(angle))
        parts += [part.moved(_IDENTITY * size, at) for part in draw_thing(bank, rng)]
    return parts


def _grass(coats: Coats, product: Thing, rng: Random) -> Thing:
    """Blades around the product, some of them before it."""
    low, high = _extent(product)
    colour = rng.uniform(0.05, 0.3) * np.array([0.55, 1, 0.2])
    coat = Coat(int(coats.bank.kinds["plain"][0]), (1, 1), tuple(colour), 0.04, 0, 0.3)
    parts = []
    tall = rng.uniform(0.06, 0.25)
    for _ in range(120):
        at = np.array(
            [rng.uniform(low[0] - 0.5, high[0] + 0.5), 0, rng.uniform(low[2] - 0.3, high[2] + 0.4)]
        )
        inside = low[0] < at[0] < high[0] and low[2] < at[2] < high[2]
        if inside:
            continue
        tip = at + np.array(
            [rng.uniform(-0.1, 0.1), tall * rng.uniform(0.4, 1.2), rng.uniform(-0.1, 0.1)]
        )
        shade = replace(coat, tint=tuple(colour * rng.uniform(0.5, 1.5)))
        parts.append(
            tube(np.stack([at, (at + tip) / 2, tip]), [0.008, 0.006, 0.001], shade, around=4)
        )
    return parts


def _before(bank: Bank, camera: Camera, rng: Random) -> Thing:
    """A thing near the camera that covers an edge of the picture, and little of the product."""
    right, up, forward = camera.axes
    distance = rng.uniform(0.4, 0.7) * float(np.linalg.norm(camera.eye))
    side = rng.choice([-1, 1]) * rng.uniform(0.75, 1.2) * camera.field
    at = camera.eye + distance * (forward + side * right + rng.uniform(-1, 0.3) * camera.field * up)
    size = rng.uniform(0.2, 0.7) * distance * camera.field * 2
    return [
        part.moved(_IDENTITY * size, at - np.array([0, size / 2, 0]))
        for part in draw_thing(bank, rng)
    ]


def _plane(corner: Array, one: Any, other: Any, coat: Coat) -> Surface:
    """A flat patch of 24 x 24, from a corner along two edges."""
    steps = np.linspace(0, 1, 25, dtype=np.float32)
    points = (
        corner + steps[:, None, None] * np.asarray(one) + steps[None, :, None] * np.asarray(other)
    )
    return Surface(points.astype(np.float32), coat)


def surroundings(
    bank: Bank,
    coats: Coats,
    camera: Camera,
    rng: Random,
    shares: tuple[float, float, float, float] = (0.36, 0.34, 0.18, 0.12),
    dark: float | None = None,
) -> tuple[Thing, Array | None]:
    """The ground and what is behind: a wall, another picture out of focus, or a bare studio.

    Args:
        shares: how often each of these is, and something flat.
        dark: how light the ground is, but in a studio; by default of any tint.
    """
    kind = rng.choice(["wall", "far", "studio", "flat"], p=shares)
    if kind == "flat":  # a photograph of something flat, or a texture, right behind
        return [], _behind(bank, rng, blur=0)
    ground = coats(
        str(
            rng.choice(
                ["wood", "stone", "weave", "plain", "tiles", "photo"],
                p=[0.2, 0.36, 0.16, 0.12, 0.1, 0.06],
            )
        )
    )
    span = 9.0
    ground = replace(ground, repeats=(rng.uniform(2, 12), rng.uniform(2, 12)))
    if dark is not None:
        ground = replace(ground, tint=(dark, dark, dark))
    elif rng.random() < 0.6:
        ground = replace(ground, tint=_natural(rng))
    if kind == "studio":
        pale = rng.choice([rng.uniform(0.6, 1), rng.uniform(0.02, 0.6)])
        tint = tuple(pale * (1 - rng.choice([0.03, 0.4]) * rng.uniform(0, 1, 3)))
        ground = Coat(int(bank.kinds["plain"][0]), (1, 1), tint, 0.04, 0, 0)
        return [_sweep(rng, ground)], None
    back = -rng.uniform(0.5, 4) if kind == "wall" else -rng.uniform(0.7, 12)
    front = 12.0
    corner = np.array([-span, 0, back])
    spin = rng.uniform(-0.5, 0.5)
    floor = _plane(corner, (2 * span, 0, 0), (0, 0, front - back), ground).moved(turn("y", spin))
    if kind == "far":
        return [floor], _behind(bank, rng, blur=rng.choice([0, 3, 8, 16]))
    wall_coat = coats(str(rng.choice(["plain", "wood", "stone", "weave", "tiles", "photo", "print"],
                                     p=[0.4, 0.1, 0.16, 0.1, 0.1, 0.1, 0.04])))  # fmt: skip
    wall_coat = replace(wall_coat, repeats=(rng.uniform(1, 6), rng.uniform(1, 6)))
    if rng.random() < 0.6:
        wall_coat = replace(wall_coat, tint=_natural(rng))
    wall = _plane(corner, (2 * span, 0, 0), (0, 9, 0), wall_coat).moved(turn("y", spin))
    return [floor, wall], None


_NATURAL = (
    (1, 1, 1), (1, 1, 1), (1, 0.97, 0.92), (0.9, 0.95, 1), (1, 0.85, 0.65), (0.8, 0.55, 0.35),
    (0.7, 0.75, 0.4), (0.45, 0.7, 0.25), (0.9, 0.5, 0.4), (0.75, 0.8, 0.9),
)  # fmt: skip
"""Tints of snow, paper, plaster, concrete, sand, wood, moss, grass, brick, slate."""


def _natural(rng: Random) -> tuple[float, float, float]:
    light = rng.choice([rng.uniform(0.02, 0.15), rng.uniform(0.1, 0.6), rng.uniform(0.5, 1)])
    tint = np.array(_NATURAL[rng.integers(len(_NATURAL))]) * rng.uniform(0.9, 1.1, 3) * light
    return tuple(tint.tolist())


def _sweep(rng: Random, coat: Coat) -> Surface:
    """Paper that bends up behind the product."""
    back, bend = -rng.uniform(0.8, 4), rng.uniform(0.2, 2)
    profile = curve(
        [
            [12, 0],
            [2, 0],
            [back, 0],
            [back - bend * 0.7, bend * 0.3],
            [back - bend, bend],
            [back - bend, 14],
        ],
        40,
        "straight",
    )
    across = np.linspace(-14, 14, 12)
    points = np.stack(np.broadcast_arrays(across[None], profile[:, 1:2], profile[:, :1]), axis=-1)
    return Surface(points.astype(np.float32), coat)


def _behind(bank: Bank, rng: Random, blur: float) -> Array:
    """Linear light of a photograph, a texture, or a ramp, [384, 384, 3]."""
    choice = rng.random()
    if choice < 0.6:
        picture = crop(bank.pictures[rng.integers(len(bank.pictures))], rng, _DRAWN, 0.3)
    elif choice < 0.8:
        texture = bank.textures[rng.integers(len(bank.textures))]
        picture = crop(texture, rng, _DRAWN, 0.3)
    else:
        ends = rng.uniform(0, 255, (2, 3))
        ramp = np.linspace(0, 1, _DRAWN)[:, None, None]
        picture = (ends[0] * ramp + ends[1] * (1 - ramp)) * np.ones((1, _DRAWN, 1))
    light = (picture.astype(np.float32) / 255) ** np.float32(2.2) * np.float32(
        rng.uniform(0.3, 1.5)
    )
    return cv2.GaussianBlur(light, (0, 0), blur) if blur else light


def _rows(surfaces: Thing) -> Array:
    rows = [
        (
            each.texture, *each.repeats, *each.tint, each.gloss, each.metal, each.sharp,
            each.uneven, each.relief,
        )
        for each in (surface.coat for surface in surfaces)
    ]  # fmt: skip
    return np.array(rows, np.float32).reshape(-1, 11)


def _sun(rng: Random) -> tuple[Array, Array]:
    azimuth, height = rng.uniform(0, 2 * np.pi), np.arcsin(rng.uniform(0.25, 0.98))
    way = np.array(
        [np.cos(azimuth) * np.cos(height), np.sin(height), np.sin(azimuth) * np.cos(height)]
    )
    strength = rng.choice([0.0, rng.uniform(0.2, 1), rng.uniform(1, 3)], p=[0.2, 0.4, 0.4])
    return way.astype(np.float32), (strength * rng.uniform(0.8, 1.05, 3)).astype(np.float32)


def picture_of(scene: Scene, bank: Bank, rng: Random) -> tuple[Array, Array]:
    """Linear light [384, 384, 3] and the product's share of each pixel [384, 384]."""
    sun, colour = _sun(rng)
    colour = colour * np.float32(scene.sunny)
    world = bank.worlds[rng.integers(len(bank.worlds))] * np.float32(rng.uniform(0.6, 1.6))
    world = np.roll(world, int(rng.integers(64)), axis=2)
    soft = int(rng.integers(0, 3)), float(rng.uniform(0.8, 4))
    everything = scene.product + scene.others
    thrown = [surface for surface in everything if float(np.ptp(surface.points)) < 5]
    drawn = _lit(scene, everything, thrown, bank, world, sun, colour, soft)
    depth, parts, light = drawn
    inside = ((parts >= 0) & (parts < len(scene.product))).astype(np.float32)
    if scene.glassy:
        seen = _lit(scene, scene.others, [], bank, world, sun, colour, soft)[2]
        bent = np.roll(seen, int(rng.integers(-20, 20)), axis=1)
        share = scene.glassy * inside[..., None]
        light = light * (1 - share) + bent * share * rng.uniform(0.6, 1)
    light = np.nan_to_num(light).clip(0, 50)  # degenerate triangles have no normal
    # Edges: half a pixel of the final size.
    light = cv2.GaussianBlur(light, (0, 0), 0.6)
    if rng.random() < 0.55:
        light = _out_of_focus(light, depth, inside, rng)
    return light, inside


def _lit(
    scene: Scene, surfaces: Thing, thrown: Thing, bank: Bank, world: Array, sun: Array, colour: Array,
    soft: tuple[int, float],
) -> tuple[Array, Array, Array]:  # fmt: skip
    camera = scene.camera
    depth, parts, facing, uv = draw(camera, surfaces)
    shadow = ShadowMap(sun, thrown, _REACH, _SHADOW)
    above = ShadowMap(np.array([1e-3, 1, 0]), thrown, _REACH, _SHADOW)
    covered = (above.depth < FAR).astype(np.float32)
    share, softness, beside = scene.closed
    covered = cv2.dilate(covered, np.ones((2 * beside + 1, 2 * beside + 1)))
    closed = share * cv2.GaussianBlur(_as_ground(above, covered), (0, 0), softness)
    light: Any = light_up(
        depth, parts, facing, uv, camera.eye, camera.rays(), _rows(surfaces), bank.textures, world,
        sun, colour, shadow.axes, _REACH, shadow.depth, *soft, closed,
    )  # fmt: skip
    if scene.background is not None:
        light = np.where((parts < 0)[..., None], scene.background, light)
    else:
        level = world[2, 12].mean(axis=0)
        light = np.where((parts < 0)[..., None], level, light)
    return depth, parts, light.astype(np.float32)


def _as_ground(above: ShadowMap, covered: Array) -> Array:
    """A map along the axes of `above` as one by z (rows) and x (columns)."""
    right, up = above.axes[0], above.axes[1]
    if abs(right[2]) > abs(right[0]):  # its columns run along z
        covered, (right, up) = covered.T, (up, right)
    covered = covered if right[0] > 0 else covered[:, ::-1]
    return np.ascontiguousarray(covered if up[2] > 0 else covered[::-1])


def _out_of_focus(light: Array, depth: Array, inside: Array, rng: Random) -> Array:
    """What is before or behind the product is blurred, the more the farther from it."""
    focus = float(np.median(depth[inside > 0])) if inside.any() else 3.0
    wide = float(rng.choice([2, 5, 10]))
    off = np.abs(1 - focus / np.minimum(depth, 60)) * rng.uniform(1, 4)
    off = off.clip(0, 1) * (1 - inside)
    outside = (1 - inside)[..., None] + np.float32(1e-4)
    levels = [light]
    for sigma in (wide / 2, wide):
        blurred = cv2.GaussianBlur(light * outside, (0, 0), sigma)
        levels.append(blurred / cv2.GaussianBlur(outside, (0, 0), sigma)[..., None])
    off = cv2.GaussianBlur(off.astype(np.float32), (0, 0), 1)[..., None]
    near, far = (2 * off).clip(0, 1), (2 * off - 1).clip(0, 1)
    out = levels[0] * (1 - near) + levels[1] * near
    return (out * (1 - far) + levels[2] * far).astype(np.float32)
