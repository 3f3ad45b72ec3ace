"""The product's cast shadow, and its shadow from the sky, on the ground.

The product is taken as a few upright cards, one behind the other, on level ground; where a card's
shadow falls is then a homography of the picture. Lengths are in camera heights over the ground: at
y pixels below the horizon one such length spans y pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from packshot.insertion.background import Box, Colours
from packshot.insertion.foot import Foot, foot_of, lower_hull
from packshot.insertion.lighting import GAMMA, Light

_FOCAL = 1.2
"""Focal length in picture widths, where the background does not say: 43 mm on film."""
_CARDS = 16
_LEAST_TURN = 0.08
_LEAST_FALL = 0.12
"""Of the product's height: how far below the horizon its foot is at least taken to be."""
_TINT = np.array([1.0, 0.97, 0.92], np.float32)
"""Shade is lit by the sky: blue darkens least."""
_LOW = 0.15
"""Of the product's height: through so low a gap one sees no lit ground behind, but its far side."""
_FRONTAL = 14.0
"""Degrees: a product's photo looks down at it by so much at least, or shade at its foot would not be seen."""
_FEET = 0.2
"""Of the product's height: no higher over its lowest row does a foot stand on the ground."""
_EDGE = 0.03
"""Of the product's height: how wide the edge of a cut-out may be, with what masks err by."""
_UNDER = 0.85
"""The darkness between feet right under a body."""
_TIGHT, _WIDE = 0.03, 0.14
"""Of the foot's width: how far from where it touches the contact shadow reaches, and its faint part."""
_FLATTEST = 0.4
"""Foreshortening of the contact shadow: a rounded edge over the ground is dark in front, too."""
_FAINT = 0.5
_FINE = 6
"""Deviation in pixels of a blur that needs no more of them."""
_GRID = 160
"""Cells of the ground, each way, on which the sky's shadow is computed."""
_SECTORS, _STEPS = 16, 24
_FURTHEST = 3
"""Of the product's height: how far away something hides the sky, at most 18 degrees high."""
_NOTHING = 1e6
"""The height of the underside of what is not there."""
_REACH = 1.2
"""Of the product's height: beyond it the sky's shadow is not seen."""


@dataclass(frozen=True)
class Ground:
    """The ground plane in one image, with a level camera.

    Attributes:
        horizon: pixels from the image's top.
        middle: the principal point's x, pixels from the left.
        focal: focal length in pixels.
    """

    horizon: float
    middle: float
    focal: float

    @classmethod
    def of(cls, width: int, horizon: float, box: Box) -> Ground:
        """The ground of an image of this width, with an object on the lower edge of `box`."""
        highest = box.bottom - _LEAST_FALL * box.height
        return cls(min(horizon, highest), width / 2, _FOCAL * width)

    def seen(self, right: Colours, away: Colours, up: Colours) -> Colours:
        """Projects points [N], in camera heights right of, away from and above the camera's foot."""
        x = self.middle + self.focal * right / away
        y = self.horizon + self.focal * (1 - up) / away
        return np.stack([x, y], axis=-1).astype(np.float32)

    def slope(self, row: float) -> float:
        """The tangent of the angle at which the camera looks down on the ground in this row."""
        return (row - self.horizon) / self.focal

    def no_steeper(self, degrees: float, row: float) -> Ground:
        """This, as a camera sees it that looks down by so many degrees at most in this row."""
        flat = self.focal * math.tan(math.radians(max(degrees, _FRONTAL)))
        return replace(self, horizon=max(self.horizon, row - flat))


@dataclass(frozen=True)
class Standing:
    """A product on the ground.

    Attributes:
        alpha: its opacity per pixel of `box`, each column lowered onto the box's lower edge.
        foot: what of the ground it covers.
    """

    alpha: Colours
    box: Box
    foot: Foot
    ground: Ground

    @classmethod
    def of(cls, alpha: Colours, box: Box, ground: Ground) -> Standing:
        """A product of this opacity per pixel of `box`, on its lower edge."""
        foot = foot_of(alpha, ground.slope(box.bottom))
        rows = np.arange(len(alpha))[:, None] - np.round(foot.rise).astype(int)
        lowered = np.take_along_axis(alpha, rows.clip(0), axis=0)
        return cls(np.where(rows >= 0, lowered, 0).astype(np.float32), box, foot, ground)

    @property
    def fall(self) -> float:
        """How far below the horizon it stands, in pixels."""
        return self.box.bottom - self.ground.horizon

    @property
    def away(self) -> float:
        """How far from the camera it stands, in camera heights."""
        return self.ground.focal / self.fall

    @property
    def depth(self) -> float:
        """In camera heights."""
        return float(self.foot.far.max()) / self.fall


def cast_shadow(
    alpha: Colours, box: Box, size: tuple[int, int], ground: Ground, light: Light
) -> Colours:
    """Cast shadow: opacity per pixel of the ground, [height, width], 0 to 1.

    Args:
        alpha: the product's opacity per pixel of `box`.
        size: (width, height) of the image.
    """
    product = Standing.of(alpha, box, ground)
    hard = np.zeros(size[::-1], np.float32)
    soft = np.zeros_like(hard)
    heights = np.linspace(1, 0, len(alpha), dtype=np.float32)[:, None]
    blur = max(0.6, 0.09 * box.height * (1.15 - light.hardness))
    offsets = np.linspace(0, product.foot.far.max(), _CARDS)
    apart = max(float(offsets[1]), 1e-3)
    for offset in offsets:
        within = np.minimum(offset - product.foot.near, product.foot.far - offset)
        # Columns that end between two cards are partly in both, or else the shadow has steps.
        card = product.alpha * (1 + within / apart).clip(0, 1).astype(np.float32)
        warp = _shadow_of_card(box, ground, light, product.away, float(offset) / product.fall)
        layers = np.stack([card * (1 - heights), card * heights], axis=-1)
        thrown = cv2.warpPerspective(layers, warp, size)
        np.maximum(hard, thrown[..., 0], out=hard)
        np.maximum(soft, thrown[..., 1], out=soft)
    near, far = _blurred(hard, blur / 4, blur / 4), _blurred(soft, blur, blur)
    return _at_foot((near + far).clip(0, 1) * light.density, product)


_FOOT_SMOOTHING = 12
"""A product's width, divided by that over which its shade follows the foot."""
_ROWS = 256
"""So many rows of shade are moved at once."""


def _at_foot(shade: Colours, product: Standing) -> Colours:
    """Shade of the ground [height, width], moved up to where each column's foot is seen.

    A photo may look down more steeply than the place is seen: then the far parts of the foot are higher
    in the picture than the ground there, and lit ground would show between them and their shade.
    """
    foot, slope = product.foot, product.ground.slope(product.box.bottom)
    up = (foot.rise - foot.near * slope).clip(0)
    if up.max(initial=0) < 0.5:
        return shade
    height, width = shade.shape
    reach = max(1, product.box.width // 2)
    places = product.box.left + np.arange(len(up))
    ends = [places[0] - reach, *places, places[-1] + reach]
    moved = np.interp(np.arange(width), ends, [0, *up, 0]).astype(np.float32)
    # Where the foot jumps from a wheel to a sill, shade must not break off.
    moved = cv2.GaussianBlur(moved[None], (0, 0), max(1.0, product.box.width / _FOOT_SMOOTHING))[0]
    across = np.broadcast_to(np.arange(width, dtype=np.float32), (min(height, _ROWS), width)).copy()
    parts = []
    for first in range(0, height, _ROWS):  # where to look takes twice the memory of the shade
        down = np.arange(first, min(height, first + _ROWS), dtype=np.float32)[:, None] + moved
        edge = cv2.BORDER_REPLICATE  # below the picture's lower edge there is more of it
        parts.append(cv2.remap(shade, across[: len(down)], down, cv2.INTER_LINEAR, None, edge))
    return np.concatenate(parts)


def _shadow_of_card(
    box: Box, ground: Ground, light: Light, away: float, offset: float
) -> np.ndarray:
    """The homography from the product's pixels to their shadow as an upright card."""
    fall = box.bottom - ground.horizon
    height = box.height / fall
    left, right = ((x - ground.middle) / ground.focal * away for x in (box.left, box.right))
    across, along = light.shadow_of(height)
    # Light along a card makes its shadow a line, from which nothing can be warped.
    if abs(along) < _LEAST_TURN * abs(across):
        along = _LEAST_TURN * abs(across) * (1 if along >= 0 else -1)
    # No shadow reaches the camera, or far beyond what a picture shows.
    along = float(np.clip(along, -0.6 * away, 3 * away))
    corners = np.array([[left, 0, 0], [right, 0, 0], [right, 1, 0], [left, 1, 0]], np.float32)
    thrown = ground.seen(
        corners[:, 0] + across * corners[:, 1],
        away + offset + along * corners[:, 1],
        np.zeros(4, np.float32),
    )
    own = np.array([[0, box.height], [box.width, box.height], [box.width, 0], [0, 0]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(own, thrown))


def contact_shadow(
    alpha: Colours, box: Box, size: tuple[int, int], ground: Ground, light: Light
) -> Colours:
    """Contact shadow along the line where the product touches the ground: [height, width], 0 to 1.

    It is 1 along that line and under the product, and fades within a seventh of the foot's width.
    What hangs over the ground has none.
    """
    product = Standing.of(alpha, box, ground)
    covered = _covered(product, size)
    width = product.foot.width
    flat = float(np.clip(ground.slope(box.bottom), _FLATTEST, 1))
    tight, wide = (
        # Blurred, the edge of a half-plane is 0.5 at the edge.
        (3 * _blurred(covered, share * width, share * width * flat)).clip(0, 1)
        for share in (_TIGHT, _WIDE)
    )
    return np.maximum(tight, _FAINT * (1 - light.direct) * wide)


def _blurred(values: Colours, across: float, down: float) -> Colours:
    """Blurred by a Gaussian of these deviations, at least 0.6; wide ones at a lower resolution."""
    across, down = max(0.6, across), max(0.6, down)
    coarse = max(1, int(min(across, down) / _FINE))
    if coarse == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigmaX=across, sigmaY=down))
    height, width = values.shape
    size = -(-width // coarse), -(-height // coarse)
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    scale = size[0] / width, size[1] / height
    soft = cv2.GaussianBlur(small, (0, 0), sigmaX=across * scale[0], sigmaY=down * scale[1])
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))


def _covered(product: Standing, size: tuple[int, int]) -> Colours:
    """The ground that the product touches, as the picture shows it: [height, width], 0 or 1."""
    covered = np.zeros(size[::-1], np.float32)
    box, foot = product.box, product.foot
    flat = product.ground.slope(box.bottom)
    edges = np.flatnonzero(np.diff(np.pad(foot.touches.astype(np.int8), 1)))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        run = slice(first, end)
        deep = np.minimum(foot.far[run], foot.near[run] + 0.6 * (end - first))
        lower = box.bottom - foot.rise[run]
        upper = lower - (deep - foot.near[run]) * flat
        across = np.arange(first, end) + box.left
        points = np.concatenate(
            [np.stack([across, lower - 1], 1), np.stack([across, upper - 1], 1)[::-1]]
        )
        cv2.fillPoly(covered, [points.round().astype(np.int32)], 1)
    return covered


def sky_shadow(alpha: Colours, box: Box, size: tuple[int, int], ground: Ground) -> Colours:
    """The share of an even sky's light that the product keeps from the ground: [height, width].

    (Ambient occlusion: the cosine-weighted part of the hemisphere above the ground that is hidden.)
    It is computed on a coarse grid of the ground: a sector of the sky is hidden up to the steepest
    thing in that direction, and down to the lowest gap under it.
    """
    product = Standing.of(alpha, box, ground)
    grid = _Grid.about(product, size[0])
    hidden = _hidden_sky(*grid.profile(product), grid.cell, box.height / product.fall)
    return _at_foot(grid.on_picture(hidden, ground, size), product)


@dataclass(frozen=True)
class _Grid:
    """Square cells of the ground around a product; lengths in camera heights."""

    left: float
    near: float
    cell: float
    columns: int
    rows: int

    @classmethod
    def about(cls, product: Standing, width: int) -> _Grid:
        box, ground, away = product.box, product.ground, product.away
        reach = _REACH * box.height / product.fall
        far = away + product.depth + reach
        near = max(away - reach, 0.25 * away)
        left, right = (
            (x - ground.middle) / ground.focal * away for x in (box.left, box.left + box.width)
        )
        right += (right - left) * product.depth / away
        span = max(right - left + 2 * reach, far - near)
        cell = span / _GRID
        return cls(
            left - reach, near, cell,
            int((right - left + 2 * reach) / cell) + 1, int((far - near) / cell) + 1,
        )  # fmt: skip

    def profile(self, product: Standing) -> tuple[Colours, Colours]:
        """The heights of the product's top and of its underside over each cell; 0 where it is not."""
        box, ground, foot = product.box, product.ground, product.foot
        away = (self.near + (np.arange(self.rows) + 0.5) * self.cell)[:, None]
        right = (self.left + (np.arange(self.columns) + 0.5) * self.cell)[None]
        column = np.floor(ground.middle + ground.focal * right / away - box.left).astype(int)
        inside = (column >= 0) & (column < box.width)
        column = column.clip(0, box.width - 1)
        beyond = (away - product.away) * product.fall
        inside &= (foot.near[column] <= beyond) & (beyond <= foot.far[column])
        solid = product.alpha > 0.5
        is_there, rows = solid.any(axis=0), len(solid)
        top = np.where(is_there, rows - solid.argmax(axis=0), 0) / product.fall
        under = np.where(is_there, solid[::-1].argmax(axis=0), 0) / product.fall
        under = np.where(foot.touches, 0, under)
        return (
            (top[column] * inside).astype(np.float32), (under[column] * inside).astype(np.float32),
        )  # fmt: skip

    def on_picture(self, values: Colours, ground: Ground, size: tuple[int, int]) -> Colours:
        """The cells' values [rows, columns] per pixel of a picture of (width, height) `size`."""
        seen = np.zeros(size[::-1], np.float32)
        far, near = self.near + self.rows * self.cell, self.near
        top = max(0, int(ground.horizon + ground.focal / far))
        end = min(size[1], int(ground.horizon + ground.focal / near) + 1)
        if end <= top:
            return seen
        away = ground.focal / (np.arange(top, end) + 0.5 - ground.horizon)
        across = (np.arange(size[0]) + 0.5 - ground.middle) / ground.focal
        columns = ((away[:, None] * across - self.left) / self.cell - 0.5).astype(np.float32)
        rows = ((away - self.near) / self.cell - 0.5).astype(np.float32)[:, None]
        rows = np.broadcast_to(rows, columns.shape).copy()
        seen[top:end] = cv2.remap(values, columns, rows, cv2.INTER_LINEAR)
        return seen


def _hidden_sky(top: Colours, under: Colours, cell: float, height: float) -> Colours:
    """The hidden share of an even sky over each cell of heights [rows, columns], 0 to 1."""
    steps = np.geomspace(0.7 * cell, max(_FURTHEST * height, 2 * cell), _STEPS)
    hidden = np.zeros_like(top)
    under = np.where(top > 0, under, _NOTHING).astype(np.float32)
    size, how = top.shape[::-1], cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    for turn in np.arange(_SECTORS) * 2 * np.pi / _SECTORS:
        highest, lowest = np.zeros_like(top), np.ones_like(top)
        for step in steps:
            across, along = step / cell * np.cos(turn), step / cell * np.sin(turn)
            shift = np.array([[1, 0, across], [0, 1, along]], np.float32)
            high = cv2.warpAffine(top, shift, size, flags=how)
            low = cv2.warpAffine(under, shift, size, flags=how, borderValue=_NOTHING)
            # The sine's square: what of a cosine-weighted sector lies below that height.
            np.maximum(highest, high**2 / (high**2 + step**2), out=highest)
            np.minimum(lowest, low**2 / (low**2 + step**2), out=lowest)
        hidden += (highest - lowest).clip(0)
    return cv2.GaussianBlur(hidden / _SECTORS, (0, 0), 0.8)


def shade(cast: Colours, sky: Colours, light: Light, touch: Colours, deepest: float) -> Colours:
    """All shade together: opacity per pixel, [height, width].

    The softer the light, the more of it is the sky's: of an overcast one all is, and of a clear one
    what the cast shadow leaves. How dark a cast shadow is was measured beside what casts it, or is
    usual there. That hides up to half of the sky, too, which is not counted again.

    Args:
        cast: the cast shadow's opacity, `light.density` where all of the light is kept off.
        sky: the hidden share of the sky, as `sky_shadow`.
        touch: as `contact_shadow`: 1 where the ground is as dark as it gets.
        deepest: the opacity there.
    """
    lit = (1 - cast / max(light.density, 1e-3)).clip(0)
    more = lit * sky + (1 - lit) * (2 * sky - 1).clip(0)
    taken = 1 - (1 - cast) * (1 - sky_shade(more, light, lit))
    taken += touch * (deepest - taken).clip(0)
    return taken.astype(np.float32, copy=False)


def sky_shade(sky: Colours, light: Light, lit: Colours | float = 1.0) -> Colours:
    """The shade of the hidden `sky` alone: opacity of the ground that gets its share `lit` of the light."""
    left = 1 - (1 - np.float32(light.direct) * lit) * sky
    return 1 - np.maximum(left, 1e-4) ** np.float32(1 / GAMMA)


def underside_shadow(alpha: Colours, box: Box, size: tuple[int, int], ground: Ground) -> Colours:
    """Shadow between the product's feet, as under a car: opacity, [height, width].

    The ground seen through the gap is dark over the product's depth and fades over as much again;
    the lower the body above it, the darker it is.
    """
    dark = np.zeros(size[::-1], np.float32)
    gap = _gap(alpha > 0.5)
    if not gap.any():
        return dark
    product = Standing.of(alpha, box, ground)
    fall, away, depth = product.fall, product.away, product.depth
    deep = max(fall - fall * away / (away + depth), _LOW * box.height)
    tall = gap.sum(axis=0)
    over_ground = gap[::-1].cumsum(axis=0)[::-1]
    shade = _UNDER / (1 + tall / (depth * fall))
    # Its lower edge is not opaque: behind that it is as dark as right below.
    reach = max(1, round(_EDGE * box.height))
    behind = cv2.dilate(gap.astype(np.uint8), np.ones((reach, 1), np.uint8), anchor=(0, 0)) > 0
    dark[box.region] = behind * shade * (2 - over_ground / (deep + 1)).clip(0, 1)
    return _blurred(dark, 0.01 * box.width, 0.01 * box.width)


def _gap(inside: np.ndarray) -> np.ndarray:
    """The gap between the product's feet, through which the ground is seen, boolean [height, width]."""
    rows = len(inside)
    lowest = np.where(inside.any(axis=0), rows - inside[::-1].argmax(axis=0), 0)
    feet = np.flatnonzero(lowest > (1 - _FEET) * rows)
    if len(feet) < 2:
        return np.zeros_like(inside)
    line, place = lower_hull(lowest, feet), np.arange(rows)[:, None]
    return (place >= lowest) & (place < line) & (lowest > 0)


def darkened(colours: Colours, taken: Colours) -> Colours:
    """The ground [h, w, 3] darkened by shadow opacity [h, w]."""
    return (colours * (1 - taken[..., None] * _TINT)).astype(np.float32, copy=False)
