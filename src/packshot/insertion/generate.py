"""The product painted by the base and its LoRA in a region of the plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.errors import InsertionRefused
from packshot.insertion.painting import painted
from packshot.insertion.plate import Box, Colours
from packshot.insertion.scene import Made, Scene
from packshot.lora import folded
from packshot.masks.embedded import EmbeddedSegmenter
from packshot.project import Subject

if TYPE_CHECKING:
    from packshot.bases.base import Base
    from packshot.insertion.inserting import InsertionSettings
    from packshot.lora import Lora

_CONTEXT = 0.45
"""How much of the plate the base sees beside the region, as a share of its longer side."""
_RIM = 0.06
_GROUND = 0.22


def generated(
    subject: Subject,
    scene: Scene,
    settings: InsertionSettings,
    seed: int,
    base: Base,
    loras: Sequence[tuple[Lora, float]],
) -> Made:
    """The crop with the product as the base paints it, ground and shadow with it.

    The base works at its own size on a canvas around the region; the LoRA never touches the plate
    outside, for nothing that it paints there is kept.

    Raises:
        InsertionRefused: the product was not painted (nothing is found in the region).
    """
    region = _region(scene)
    canvas = _canvas(scene, base)
    size = _size(canvas, base)
    part = scene.colours[canvas.region]
    strength = cv2.resize(region[canvas.region], size, interpolation=cv2.INTER_AREA)
    steps, guidance = settings.steps, settings.guidance_scale
    view = f", seen from the {settings.view}" if settings.view else ""
    with folded(base, loras):
        made = painted(
            base,
            cv2.resize(part, size, interpolation=cv2.INTER_AREA),
            strength,
            subject.fill(settings.prompt) + view,
            seed=seed,
            steps=base.sampler.steps if steps is None else steps,
            guidance_scale=base.sampler.guidance_scale if guidance is None else guidance,
        )
    there = cv2.resize(made, (canvas.width, canvas.height), interpolation=cv2.INTER_CUBIC).clip(
        0, 1
    )
    weights = (region * 3).clip(0, 1)
    weights[weights < 0.02] = 0
    laid = scene.colours.copy()
    share = weights[canvas.region][..., None]
    laid[canvas.region] = part * (1 - share) + there * share
    alpha, box = _found(laid, canvas, weights)
    zone = (weights > 0).astype(np.float32)
    taken = _taken(scene.colours, laid, zone)
    return Made(laid, zone, laid[box.region], alpha, box, taken, None)


def _region(scene: Scene) -> Colours:
    """How far each pixel of the crop may be repainted, 0 to 1: the place, and ground for a shadow."""
    box, mask = scene.placement.box, scene.placement.mask
    full = np.zeros(scene.colours.shape[:2], np.float32)
    full[box.region] = 1 if mask is None else mask
    ground = np.zeros_like(full)
    middle = box.left + box.width // 2, box.bottom - round(0.04 * box.height)
    axes = round(0.62 * box.width), max(2, round(_GROUND * box.height))
    cv2.ellipse(ground, middle, axes, 0, 0, 360, 0.85, -1)
    rim = max(1.0, _RIM * max(box.width, box.height))
    grown = cv2.dilate(full, np.ones((3, 3), np.uint8), iterations=max(1, round(rim / 2)))
    return cv2.GaussianBlur(np.maximum(grown, ground), (0, 0), rim / 2)


def _canvas(scene: Scene, base: Base) -> Box:
    """What the base sees of the crop: the place and about as much again, no less than square."""
    box, (height, width) = scene.placement.box, scene.colours.shape[:2]
    side = round(max(box.width, box.height) * (1 + 2 * _CONTEXT))
    wide, tall = min(side, width), min(side, height)
    left = int(np.clip(box.left + box.width // 2 - wide // 2, 0, width - wide))
    top = int(np.clip(box.top + box.height // 2 - tall // 2, 0, height - tall))
    return Box(left, top, wide, tall)


def _size(canvas: Box, base: Base) -> tuple[int, int]:
    """As many pixels as the base was trained on, in the canvas's shape."""
    scale = base.native_pixels / (canvas.width * canvas.height) ** 0.5
    step = base.pixel_multiple
    width, height = (
        max(1, round(side * scale / step)) * step for side in (canvas.width, canvas.height)
    )
    return width, height


def _found(laid: Colours, canvas: Box, weights: Colours) -> tuple[Colours, Box]:
    """The painted product's share of each pixel of its box, and that box in the crop."""
    from PIL import Image

    part = (laid[canvas.region] * 255).round().astype(np.uint8)
    mask = np.asarray(EmbeddedSegmenter().mask(Image.fromarray(part)), dtype=np.float32) / 255
    alpha = np.zeros(laid.shape[:2], np.float32)
    alpha[canvas.region] = mask
    alpha *= weights > 0
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise InsertionRefused(
            "The base painted no product there. Try a larger place, other seeds, or the cut-out way."
        )
    top, left = int(rows[0]), int(columns[0])
    box = Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
    return alpha[box.region], box


def _taken(before: Colours, after: Colours, zone: Colours) -> Colours:
    """How much darker the zone became."""
    old, new = (cv2.cvtColor(one.astype(np.float32), cv2.COLOR_RGB2GRAY) for one in (before, after))
    return ((old - new) / np.maximum(old, 0.05)).clip(0, 1) * zone
