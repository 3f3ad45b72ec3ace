"""Compositing a cut-out into the background, with its shadow and its reflection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from packshot.insertion import cutouts, harmonize, shadows
from packshot.insertion.background import Box, Colours
from packshot.insertion.cutouts import CutOut
from packshot.insertion.scene import Composite, Scene

if TYPE_CHECKING:
    from packshot.insertion.settings import InsertionSettings

_LEAST = 1.5 / 255
"""A change below what 8 bits show is none."""


def composite(scene: Scene, cut: CutOut, settings: InsertionSettings, seed: int) -> Composite:
    """Composite a cut-out, its shadow and its reflection into the scene's crop."""
    colours, alpha, box = cutouts.fitted(cut, scene.placement.box)
    product = harmonize.harmonize(colours, alpha, _around(scene.image, box), cut.beside, seed)
    size = scene.crop.width, scene.crop.height
    cast = shadows.cast_shadow(alpha, box, size, scene.ground, scene.light)
    cast *= _fading(scene)
    touch = shadows.contact_shadow(alpha, box, size, scene.ground)
    under = shadows.underside_shadow(alpha, box, size, scene.ground)
    shadow = (1 - (1 - cast) * (1 - touch) * (1 - under)) * settings.shadow_strength
    shadow[shadow < _LEAST] = 0
    ground = shadows.darkened(scene.image, shadow)
    ground, mirrored = shadows.reflected(ground, product, alpha, box, settings.reflection)
    share = alpha[..., None]
    ground[box.region] = ground[box.region] * (1 - share) + product * share
    zone = ((shadow > 0) | (mirrored > 0)).astype(np.float32)
    zone[box.region] = np.maximum(zone[box.region], alpha > 0)
    opacity = 1 - (1 - shadow) * (1 - mirrored)
    opacity[box.region] = 1 - (1 - opacity[box.region]) * (1 - alpha)
    return Composite(ground, zone, colours, alpha, box, shadow, opacity, cut)


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
