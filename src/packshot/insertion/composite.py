"""Compositing a cut-out into the background, with its shadow and its reflection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from packshot.insertion import cutouts, harmonize, optics, reflection, shadows
from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.cutouts import CutOut
from packshot.insertion.ground_shade import contact_density
from packshot.insertion.harmonize import Look
from packshot.insertion.optics import Grain
from packshot.insertion.scene import Composite, Scene

if TYPE_CHECKING:
    from packshot.insertion.settings import InsertionSettings

_LEAST = 1.5 / 255
"""A change below what 8 bits show is none."""
_TILE, _TILES = 160, 8
"""Side in pixels of the pieces in which the background's grain is looked for, and the most each way."""
_MARGIN = 0.05
"""Of the product's height: so far out of focus its rim may reach beyond its box."""


def composite(scene: Scene, cut: CutOut, settings: InsertionSettings, seed: int) -> Composite:
    """Composite a cut-out, its shadow and its reflection into the scene's crop."""
    colours, alpha, box = cutouts.fitted(cut, scene.placement.box)
    look = _look(scene, box)
    shadow = (
        optics.out_of_focus(_shadow(scene, cut, alpha, box), look.blur) * settings.shadow_strength
    )
    shadow[shadow < _LEAST] = 0
    layer, opacity, place = _as_seen(scene, look, colours, alpha, box, cut.beside, seed)
    ground = shadows.darkened(scene.image, shadow)
    inner = _within(box, place)
    ground, mirrored = reflection.reflected(
        ground, layer[inner], alpha, shadows.Standing.of(alpha, box, scene.ground),
        settings.reflection,
    )  # fmt: skip
    share = opacity[..., None]
    ground[place.region] = ground[place.region] * (1 - share) + layer * share
    zone = ((shadow > 0) | (mirrored > 0)).astype(np.float32)
    zone[place.region] = np.maximum(zone[place.region], opacity > 0)
    hidden = 1 - (1 - shadow) * (1 - mirrored)
    hidden[place.region] = 1 - (1 - hidden[place.region]) * (1 - opacity)
    return Composite(ground, zone, colours, opacity[inner], box, shadow, hidden, cut, mirrored)


def _shadow(scene: Scene, cut: CutOut, alpha: Colours, box: Box) -> Colours:
    """All of the product's shade on the ground: opacity, [height, width]."""
    size = scene.crop.width, scene.crop.height
    standing = alpha, box, size, scene.ground_at(cut, box)
    fading = _fading(scene)
    touch = np.maximum(
        shadows.contact_shadow(*standing, scene.light), shadows.underside_shadow(*standing)
    )
    return shadows.shade(
        shadows.cast_shadow(alpha, box, size, scene.ground, scene.light) * fading,
        shadows.sky_shadow(*standing) * fading,
        scene.light, touch, contact_density(scene.image, scene.ground, box),
    )  # fmt: skip


def _as_seen(
    scene: Scene, look: Look, colours: Colours, alpha: Colours, box: Box, photo: Colours, seed: int
) -> tuple[Colours, Colours, Box]:
    """The product in the scene's light and focus: colours, opacity, and their box.

    That is larger than the product's, for what is out of focus has a wide rim.
    """
    reach = max(2, round(_MARGIN * box.height))
    left, top = min(reach, box.left), min(reach, box.top)
    right = min(reach, scene.crop.width - box.right)
    bottom = min(reach, scene.crop.height - box.bottom)
    sides = (top, bottom), (left, right)
    place = Box(box.left - left, box.top - top, box.width + left + right, box.height + top + bottom)
    layer, opacity = harmonize.harmonize(
        np.pad(colours, (*sides, (0, 0)), mode="edge"), np.pad(alpha, sides), look, photo,
        seed,
    )  # fmt: skip
    opacity[opacity < _LEAST] = 0
    return layer, opacity, place


def _look(scene: Scene, box: Box) -> Look:
    return Look(_around(scene.image, box), ground_blur(scene, box), _grain(scene.background))


def ground_blur(scene: Scene, box: Box) -> float | None:
    """How blurred the ground is on which a box stands, in pixels; None if it shows no edges."""
    columns = slice(max(0, box.left - box.width // 2), box.right + box.width // 2)
    return optics.blur_at(scene.image, box.bottom, columns, max(12, box.height // 8))


def _grain(background: Background) -> Grain | None:
    """The grain of a background, by samples from all over it: what is calm or out of focus shows it."""
    width, height = (min(_TILE, side) for side in (background.width, background.height))
    lefts, tops = (
        np.linspace(0, side - tile, max(1, min(_TILES, side // tile))).astype(int)
        for side, tile in ((background.width, width), (background.height, height))
    )
    return optics.grain_of(
        [background.colours(Box(int(x), int(y), width, height)) for y in tops for x in lefts]
    )


def _within(box: Box, place: Box) -> tuple[slice, slice]:
    """The region of a box in a larger one."""
    left, top = box.left - place.left, box.top - place.top
    return slice(top, top + box.height), slice(left, left + box.width)


def _fading(scene: Scene) -> Colours:
    """Weights of 1 inside the crop, falling to 0 at its edges unless they are the background's own.

    A long shadow fades there instead of ending in a line.
    """
    crop, background = scene.crop, scene.background

    def ramp(count: int, at_start: bool, at_end: bool) -> Colours:
        way = np.arange(count, dtype=np.float32) / max(1, 0.15 * count)
        start = np.ones_like(way) if at_start else way.clip(0, 1)
        return start * (np.ones_like(way) if at_end else way[::-1].clip(0, 1))

    across = ramp(crop.width, crop.left == 0, crop.right == background.width)
    down = ramp(crop.height, crop.top == 0, crop.bottom == background.height)
    return down[:, None] * across


def _around(colours: Colours, box: Box) -> Colours:
    """The background near a box."""
    reach = max(16, box.width // 2)
    rows = slice(max(0, box.top - reach // 2), box.bottom + reach)
    return colours[rows, max(0, box.left - reach) : box.right + reach]
