"""One product as several photographs show it, and its look-alikes: for the network of identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from packshot_pocket.pretrain.shots.bank import Bank, Random
from packshot_pocket.pretrain.shots.meshes import Array, turn
from packshot_pocket.pretrain.shots.products import KINDS, SHARES, Coats, Thing, placed
from packshot_pocket.pretrain.shots.raster import Camera
from packshot_pocket.pretrain.shots.scenes import Scene, picture_of, surroundings

SIDE = 112
"""Of a look, px; its product is `_FILLS` of it."""
_FILLS = 0.77
_DRAWN = 144
_SHOWN = 120
_BRANCHES = 0.25
"""How much rarer a look-alike takes the other's choice than a share of its numbers."""


@dataclass
class Straying:
    """Random numbers that follow one generator and stray towards another's.

    Numbers are mixed by `amount`; choices are the other's in a share of cases that grows with it.
    It stands in for `numpy.random.Generator` where things are drawn.
    """

    own: Random
    other: Random
    amount: float
    when: Random = field(default_factory=lambda: np.random.default_rng(0))

    def _mixed(self, name: str, *args: Any, **options: Any) -> Any:
        one, two = (getattr(each, name)(*args, **options) for each in (self.own, self.other))
        return one + self.amount * (two - one)

    def _either(self, name: str, *args: Any, **options: Any) -> Any:
        one, two = (getattr(each, name)(*args, **options) for each in (self.own, self.other))
        return two if self.when.random() < _BRANCHES * self.amount else one

    def uniform(self, *args: Any, **options: Any) -> Any:
        """See `numpy.random.Generator.uniform`."""
        return self._mixed("uniform", *args, **options)

    def dirichlet(self, *args: Any, **options: Any) -> Any:
        """See `numpy.random.Generator.dirichlet`."""
        return self._mixed("dirichlet", *args, **options)

    def random(self, *args: Any, **options: Any) -> Any:
        """See `numpy.random.Generator.random`."""
        return self._either("random", *args, **options)

    def choice(self, *args: Any, **options: Any) -> Any:
        """See `numpy.random.Generator.choice`."""
        return self._either("choice", *args, **options)

    def integers(self, *args: Any, **options: Any) -> Any:
        """See `numpy.random.Generator.integers`."""
        return self._either("integers", *args, **options)


@dataclass(frozen=True)
class Likeness:
    """By how much a look-alike differs from the product that it is like: 0 not at all, 1 in all."""

    shape: float = 0.0
    coat: float = 0.0


def draw_alike(bank: Bank, seed: tuple[int, ...], other: int, likeness: Likeness) -> Thing:
    """The product of a seed, or look-alike number `other` of it; a function of its arguments."""
    kind = int(np.random.default_rng((*seed, 0)).choice(len(KINDS), p=SHARES))

    def numbers(stream: int, amount: float) -> Any:
        own, stray = np.random.default_rng((*seed, stream)), (*seed, stream, other)
        when = np.random.default_rng((*stray, 1))
        return Straying(own, np.random.default_rng((*stray, 0)), amount, when)

    coats = Coats(bank, numbers(1, likeness.coat))
    return placed(KINDS[kind](coats, numbers(2, likeness.shape)), np.random.default_rng((*seed, 3)))


def draw_look(thing: Thing, bank: Bank, rng: Random) -> Array:
    """A photograph of a thing on its own, uint8 [SIDE, SIDE, 4]: sRGB and its mask."""
    angle = rng.normal(0, 0.9) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
    turned = [surface.moved(turn("y", angle)) for surface in thing]
    camera = _camera(turned, rng)
    grounds, behind = surroundings(bank, Coats(bank, rng), camera, rng)
    if behind is not None:
        behind = cv2.resize(behind, (_DRAWN, _DRAWN), interpolation=cv2.INTER_AREA)
    light, mask = picture_of(Scene(turned, grounds, camera, behind), bank, rng)
    shown = cv2.resize(_exposed(light, mask, rng), (_SHOWN, _SHOWN), interpolation=cv2.INTER_AREA)
    small = cv2.resize(mask, (_SHOWN, _SHOWN), interpolation=cv2.INTER_AREA)
    return framed(np.dstack([shown, (small * 255).round().astype(np.uint8)]))


def _exposed(light: Array, mask: Array, rng: Random) -> Array:
    """Linear light as sRGB uint8, exposed for the picture or for the product, hardly tinted."""
    where = mask > 0.5 if rng.random() < 0.5 and mask.any() else mask >= 0
    level = float(np.quantile(light.mean(axis=2)[where], rng.uniform(0.6, 0.9))) + 1e-3
    seen = light * (rng.uniform(0.35, 0.75) / level) * rng.uniform(0.93, 1.07, 3)
    if rng.random() < 0.6:  # highlights rolled off instead of clipped
        seen = 1 - np.exp(-1.5 * seen)
    shown = seen.clip(0, 1) ** (1 / rng.uniform(1.9, 2.4))
    grey = shown.mean(axis=2, keepdims=True)
    shown = grey + (shown - grey) * rng.uniform(0.75, 1.2)
    return (shown.clip(0, 1) * 255).astype(np.uint8)


def framed(look: Array) -> Array:
    """The square around what the last channel marks, resized: uint8 [H, W, 4] to [SIDE, SIDE, 4]."""
    rows, columns = (np.flatnonzero((look[..., 3] > 127).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        rows, columns = np.arange(look.shape[0]), np.arange(look.shape[1])
    (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    half = max(bottom - top, right - left) / 2 / _FILLS
    scale = SIDE / (2 * half)
    x, y = (left + right) / 2 - half, (top + bottom) / 2 - half
    move = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    if scale < 0.7:  # warping alone would skip pixels
        look = cv2.GaussianBlur(look, (0, 0), 0.4 / scale)
    seen = cv2.warpAffine(look, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    seen[..., 3] = cv2.warpAffine(look[..., 3], move, (SIDE, SIDE))
    return np.asarray(seen, np.uint8)


def _camera(thing: Thing, rng: Random) -> Camera:
    points = np.concatenate([surface.points.reshape(-1, 3) for surface in thing])
    low, high = points.min(axis=0), points.max(axis=0)
    height = np.arctan(rng.choice([rng.uniform(0, 0.35), rng.uniform(0.2, 0.9)]))
    field_, share = rng.uniform(0.15, 0.5), rng.uniform(0.6, 0.85)
    distance = float(np.linalg.norm(high - low)) / 2 / field_ / share
    target = (low + high) / 2
    eye = target + distance * np.array([0, np.sin(height), np.cos(height)])
    eye[1] = max(eye[1], 0.06)
    return Camera(eye, target, float(field_), float(rng.normal(0, 0.05)), _DRAWN)


MEMBERS = 4
"""Of a family: a product and three look-alikes of it."""
VIEWS = 4


def likenesses(seed: tuple[int, ...]) -> list[Likeness]:
    """How the members of a family differ from its first: in shape, coat or both."""
    rng = np.random.default_rng((*seed, 4))
    found = [Likeness()]
    for _ in range(MEMBERS - 1):
        amount, which = rng.uniform(0.25, 0.8), rng.integers(3)
        found.append(Likeness(amount if which != 1 else 0.0, amount if which else 0.0))
    return found


def draw_family(bank: Bank, seed: tuple[int, ...]) -> Array:
    """A product and its look-alikes, each in `VIEWS` looks: uint8 [MEMBERS, VIEWS, SIDE, SIDE, 4]."""
    members = []
    for other, likeness in enumerate(likenesses(seed)):
        thing = draw_alike(bank, seed, other, likeness)
        rng = np.random.default_rng((*seed, 5, other))
        members.append(np.stack([draw_look(thing, bank, rng) for _ in range(VIEWS)]))
    return np.stack(members)
