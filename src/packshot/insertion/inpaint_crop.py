"""The part of a crop that is inpainted at the base's own resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from packshot.insertion.background import Box, Colours
from packshot.insertion.inpaint import inpaint
from packshot.settings import Subject

if TYPE_CHECKING:
    from packshot.insertion.settings import InsertionSettings
    from packshot.models.diffusion_model import DiffusionModel

_CONTEXT = 0.45
"""Width of the background around the region that is included, as a share of its longer side."""


@dataclass(frozen=True)
class InpaintCrop:
    """A box of the crop, and the size (width, height) at which the base inpaints it."""

    box: Box
    size: tuple[int, int]

    @classmethod
    def around(cls, box: Box, shape: tuple[int, ...], base: DiffusionModel) -> InpaintCrop:
        """The box with its surroundings, square if the crop of this `shape` allows."""
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
        """Inpaint this part of the crop `colours`; returned at the crop's own size.

        Args:
            strength: denoising strength per pixel of the crop, see `inpaint`.
        """
        view = f", seen from the {settings.view}" if settings.view else ""
        steps, guidance = settings.steps, settings.guidance_scale
        inpainted = inpaint(
            base,
            _resized(colours[self.box.region], self.size),
            _resized(strength[self.box.region], self.size),
            subject.fill(settings.prompt) + view,
            seed=seed,
            steps=base.sampler.steps if steps is None else steps,
            guidance_scale=base.sampler.guidance_scale if guidance is None else guidance,
        )
        return _resized(inpainted, (self.box.width, self.box.height))


def _resized(values: Colours, size: tuple[int, int]) -> Colours:
    """Values in [0, 1] at another size (width, height): averaged to a smaller one, smooth at a larger one."""
    is_smaller = size[0] * size[1] < values.shape[0] * values.shape[1]
    way = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    return cv2.resize(values, size, interpolation=way).clip(0, 1)


def _size(wide: int, tall: int, base: DiffusionModel) -> tuple[int, int]:
    """The size with the base's number of training pixels in this aspect ratio."""
    scale = base.native_pixels / (wide * tall) ** 0.5
    step = base.pixel_multiple
    width, height = (max(1, round(side * scale / step)) * step for side in (wide, tall))
    return width, height
