"""The part of a crop that a base sees at its own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.insertion.background import Box, Colours
from packshot.insertion.inpaint import inpaint
from packshot.project import Subject

if TYPE_CHECKING:
    from packshot.insertion.settings import InsertionSettings
    from packshot.models.diffusion_model import DiffusionModel

_CONTEXT = 0.45
"""How much of the background the base sees beside the region, as a share of its longer side."""


@dataclass(frozen=True)
class InpaintCrop:
    """A box of the crop, and the size (width, height) at which the base paints it."""

    box: Box
    size: tuple[int, int]

    @classmethod
    def around(cls, box: Box, shape: tuple[int, ...], base: DiffusionModel) -> InpaintCrop:
        """The box and about as much again, no less than square, of a crop of `shape`."""
        height, width = shape[:2]
        side = round(max(box.width, box.height) * (1 + 2 * _CONTEXT))
        wide, tall = min(side, width), min(side, height)
        left = int(np.clip(box.left + box.width // 2 - wide // 2, 0, width - wide))
        top = int(np.clip(box.top + box.height // 2 - tall // 2, 0, height - tall))
        return cls(Box(left, top, wide, tall), _size(wide, tall, base))

    def painted(
        self,
        base: DiffusionModel,
        colours: Colours,
        strength: Colours,
        subject: Subject,
        settings: InsertionSettings,
        seed: int,
    ) -> Colours:
        """This part of the crop `colours` as the base paints it, at the crop's own size.

        Args:
            strength: of the crop, as `painting.painted` takes it.
        """
        view = f", seen from the {settings.view}" if settings.view else ""
        steps, guidance = settings.steps, settings.guidance_scale
        made = inpaint(
            base,
            cv2.resize(colours[self.box.region], self.size, interpolation=cv2.INTER_AREA),
            cv2.resize(strength[self.box.region], self.size, interpolation=cv2.INTER_AREA),
            subject.fill(settings.prompt) + view,
            seed=seed,
            steps=base.sampler.steps if steps is None else steps,
            guidance_scale=base.sampler.guidance_scale if guidance is None else guidance,
        )
        size = self.box.width, self.box.height
        return cv2.resize(made, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _size(wide: int, tall: int, base: DiffusionModel) -> tuple[int, int]:
    """As many pixels as the base was trained on, in the canvas's shape."""
    scale = base.native_pixels / (wide * tall) ** 0.5
    step = base.pixel_multiple
    width, height = (max(1, round(side * scale / step)) * step for side in (wide, tall))
    return width, height
