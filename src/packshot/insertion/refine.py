"""Refining a composite with the base at low denoising strength: rim, shadow, light; never print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.insertion.background import Colours
from packshot.insertion.inpaint_crop import InpaintCrop
from packshot.insertion.scene import Composite, Scene
from packshot.lora import fused
from packshot.settings import Subject

if TYPE_CHECKING:
    from packshot.insertion.settings import InsertionSettings
    from packshot.lora import Lora
    from packshot.models.diffusion_model import DiffusionModel

_CORE = 0.5
_SHADOW = 0.8
"""Denoising strength inside the product and on its shadow, as shares of the rim's."""
_RIM = 0.02
_SLOW = 0.12
"""Blur of the change of light inside the product, as a share of its longer side."""
_MOST_LIGHT = 1.2
_LEAST_WEIGHT = 0.02


def refine(
    subject: Subject,
    scene: Scene,
    made: Composite,
    settings: InsertionSettings,
    seed: int,
    base: DiffusionModel,
    loras: Sequence[tuple[Lora, float]],
) -> Composite:
    """Refine a composite with the base.

    Only the difference between the base's output and the VAE's reconstruction of the crop is added,
    so that detail and grain are kept. On the rim and the shadow the difference is added fully; inside
    the product only its slow change of brightness, so that print, logo and hue stay the photo's.
    """
    canvas = InpaintCrop.around(made.box, scene.image.shape, base)
    inside, rim = _regions(made)
    shadow = _SHADOW * (made.shadow > 0)
    strength = settings.refine * np.maximum(np.maximum(rim, shadow), _CORE * inside)
    with fused(base, loras):
        refined, reencoded = (
            canvas.painted(base, made.image, how, subject, settings, seed)
            for how in (strength.astype(np.float32), np.zeros_like(rim))
        )
    weights = np.maximum(rim, (made.shadow > 0) * (1 - inside))
    weights = cv2.GaussianBlur(weights, (0, 0), max(0.6, _RIM * made.box.width / 4))
    weights[weights < _LEAST_WEIGHT] = 0
    part, colours = canvas.box.region, made.image.copy()
    colours[part] *= 1 + (_light(refined, reencoded, made) - 1) * inside[part][..., None]
    colours[part] += (refined - reencoded) * weights[part][..., None]
    zone = ((made.changed_mask > 0) | (weights > 0) & _within(canvas, weights)).astype(np.float32)
    return replace(made, image=colours.clip(0, 1), changed_mask=zone)


def _regions(made: Composite) -> tuple[Colours, Colours]:
    """The product's inside and its rim, each [height, width] in [0, 1]."""
    alpha = np.zeros(made.changed_mask.shape, np.float32)
    alpha[made.box.region] = made.alpha
    reach = max(1, round(_RIM * max(made.box.width, made.box.height)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.erode((alpha > 0.98).astype(np.float32), kernel)
    around = cv2.dilate((alpha > 0.02).astype(np.float32), kernel)
    soft = max(0.6, reach / 2)
    inside = cv2.GaussianBlur(inside, (0, 0), soft) * inside
    return inside, (around - inside).clip(0, 1)


def _light(refined: Colours, reencoded: Colours, made: Composite) -> Colours:
    """The factor of brightness that the base changed, blurred and limited, [h, w, 1]."""
    slow = _SLOW * max(made.box.width, made.box.height)
    after, before = (
        cv2.GaussianBlur(cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY), (0, 0), slow)
        for colours in (refined, reencoded)
    )
    ratio: Colours = (after / np.maximum(before, 0.05)).clip(1 / _MOST_LIGHT, _MOST_LIGHT)
    return ratio[..., None]


def _within(canvas: InpaintCrop, weights: Colours) -> np.ndarray:
    """A mask of the crop, true in the inpainted box."""
    inside = np.zeros(weights.shape, bool)
    inside[canvas.box.region] = True
    return inside
