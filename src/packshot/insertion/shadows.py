"""The product's cast shadow, contact shadow and reflection on the ground.

The product is taken as a few upright cards, one behind the other, on level ground; where a card's
shadow falls is then a homography of the picture. Lengths are in camera heights over the ground: at
y pixels below the horizon one such length spans y pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from packshot.insertion.background import Box, Colours
from packshot.insertion.lighting import Light

_FOCAL = 1.2
"""Focal length in picture widths, where the background does not say: 43 mm on film."""
_CARDS = 12
_LEAST_TURN = 0.08
_THICKNESS = 0.7
"""How deep a product is, as a share of its lesser side."""
_LEAST_FALL = 0.12
"""Of the product's height: how far below the horizon its foot is at least taken to be."""
_TINT = np.array([1.0, 0.97, 0.92], np.float32)
"""Shade is lit by the sky: blue darkens least."""
_CONTACT = 0.85
_CONTACT_HEIGHT = 0.1
_LOW = 0.15
"""Of the product's height: through so low a gap one sees no lit ground behind, but its far side."""
_FEET = 0.2
"""Of the product's height: no higher over its lowest row does a foot stand on the ground."""


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


def cast_shadow(
    alpha: Colours, box: Box, size: tuple[int, int], ground: Ground, light: Light
) -> Colours:
    """Cast shadow: opacity per pixel of the ground, [height, width], 0 to 1.

    Args:
        alpha: the product's opacity per pixel of `box`.
        size: (width, height) of the image.
    """
    fall = box.bottom - ground.horizon
    away = ground.focal / fall
    lesser = min(box.width, box.height) / fall
    hard = np.zeros(size[::-1], np.float32)
    soft = np.zeros_like(hard)
    heights = np.linspace(1, 0, len(alpha), dtype=np.float32)[:, None]
    blur = max(0.6, 0.09 * box.height * (1.15 - light.hardness))
    for offset in np.linspace(0, _THICKNESS * lesser, _CARDS):
        warp = _shadow_of_card(box, ground, light, away, float(offset))
        for layer, share in ((hard, 1 - heights), (soft, heights)):
            np.maximum(layer, cv2.warpPerspective(alpha * share, warp, size), out=layer)
    near = cv2.GaussianBlur(hard, (0, 0), max(0.6, blur / 4))
    far = cv2.GaussianBlur(soft, (0, 0), blur)
    return (near + far).clip(0, 1) * light.density


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


def contact_shadow(alpha: Colours, box: Box, size: tuple[int, int], ground: Ground) -> Colours:
    """Contact shadow where the product touches the ground: opacity, [height, width]."""
    rows = max(1, round(_CONTACT_HEIGHT * box.height))
    foot = np.zeros_like(alpha)
    foot[-rows:] = alpha[-rows:]
    overhead = Light(0, 90, 1)
    fall = box.bottom - ground.horizon
    depth = _THICKNESS * min(box.width, box.height) / fall
    dark = np.zeros(size[::-1], np.float32)
    for offset in np.linspace(0, 0.6 * depth, _CARDS):
        warp = _shadow_of_card(box, ground, overhead, ground.focal / fall, float(offset))
        below = cv2.warpPerspective(foot, warp, size)
        # Seen from the side a card's shadow has no depth: what stands on the line is its foot.
        np.maximum(dark, below, out=dark)
    part = dark[box.region]
    part[-rows:] = np.maximum(part[-rows:], foot[-rows:])
    tight = cv2.GaussianBlur(dark, (0, 0), max(0.6, 0.012 * box.width))
    wide = cv2.GaussianBlur(dark, (0, 0), max(1.0, 0.05 * box.width))
    return (0.75 * tight + 0.6 * wide).clip(0, 1) * _CONTACT


def underside_shadow(alpha: Colours, box: Box, size: tuple[int, int], ground: Ground) -> Colours:
    """Shadow between the product's feet, as under a car: opacity, [height, width].

    The ground seen through the gap is dark over the product's depth and fades over as much again;
    the lower the body above it, the darker it is.
    """
    dark = np.zeros(size[::-1], np.float32)
    gap = _gap(alpha > 0.5)
    if not gap.any():
        return dark
    fall = box.bottom - ground.horizon
    away, depth = ground.focal / fall, _THICKNESS * min(box.width, box.height) / fall
    deep = max(fall - fall * away / (away + depth), _LOW * box.height)
    tall = gap.sum(axis=0)
    over_ground = gap[::-1].cumsum(axis=0)[::-1]
    shade = _CONTACT / (1 + tall / (depth * fall))
    dark[box.region] = gap * shade * (2 - over_ground / (deep + 1)).clip(0, 1)
    return cv2.GaussianBlur(dark, (0, 0), max(0.6, 0.01 * box.width))


def _gap(inside: np.ndarray) -> np.ndarray:
    """The gap between the product's feet, through which the ground is seen, boolean [height, width]."""
    rows = len(inside)
    lowest = np.where(inside.any(axis=0), rows - inside[::-1].argmax(axis=0), 0)
    feet = np.flatnonzero(lowest > (1 - _FEET) * rows)
    hull: list[int] = []
    for column in feet:  # the chain of Andrew 1979 along the lower side
        while len(hull) > 1 and _turns_down(lowest, hull[-2], hull[-1], int(column)):
            hull.pop()
        hull.append(int(column))
    if len(hull) < 2:
        return np.zeros_like(inside)
    columns, place = np.arange(inside.shape[1]), np.arange(rows)[:, None]
    line = np.interp(columns, hull, lowest[hull], left=0, right=0)
    return (place >= lowest) & (place < line) & (lowest > 0)


def _turns_down(lowest: np.ndarray, first: int, middle: int, last: int) -> bool:
    """Whether the middle column's lowest row lies on or above the line between the others'."""
    share = (middle - first) / (last - first)
    return bool(lowest[middle] <= lowest[first] + share * (lowest[last] - lowest[first]))


def darkened(colours: Colours, taken: Colours) -> Colours:
    """The ground [h, w, 3] darkened by shadow opacity [h, w]."""
    return (colours * (1 - taken[..., None] * _TINT)).astype(np.float32, copy=False)


def reflected(
    colours: Colours, product: Colours, alpha: Colours, box: Box, strength: float
) -> tuple[Colours, Colours]:
    """The ground with the product's reflection, as of wet or polished ground, and its opacity.

    `strength` is 0 to 1 at the foot; it fades with height, like Fresnel reflection on rough ground.
    """
    rows = min(box.height, colours.shape[0] - box.bottom)
    weight = np.zeros(colours.shape[:2], np.float32)
    if rows <= 0 or strength <= 0:
        return colours, weight
    fade = (np.linspace(1, 0, rows, dtype=np.float32) ** 2)[:, None] * strength
    image = cv2.GaussianBlur(product[::-1][:rows], (0, 0), max(0.6, 0.01 * box.height))
    below = slice(box.bottom, box.bottom + rows), slice(box.left, box.right)
    weight[below] = alpha[::-1][:rows] * fade
    mixed = colours.copy()
    share = weight[below][..., None]
    mixed[below] = colours[below] * (1 - share) + image * share
    return mixed, weight
