"""What is known before the product is there, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from packshot.insertion.background import Box, Colours, Plate
from packshot.insertion.cutouts import CutOut
from packshot.insertion.lighting import Light
from packshot.insertion.placement import Placement
from packshot.insertion.shadows import Ground


@dataclass(frozen=True)
class Scene:
    """A crop of the plate around the place, its ground and light, all in the crop's pixels."""

    plate: Plate
    crop: Box
    """In the plate's pixels."""
    colours: Colours
    ground: Ground
    light: Light
    placement: Placement


@dataclass(frozen=True)
class Made:
    """The crop with the product in it.

    Attributes:
        colours: [height, width, 3].
        zone: 1 where anything may have changed, [height, width].
        product: its colours as they were before harmony and stitching, the size of `box`.
        alpha: its share of each pixel of `box`.
        box: where it is in the crop.
        taken: the share of light taken from the ground, [height, width].
        cut: what it was made from; None if it was painted.
    """

    colours: Colours
    zone: Colours
    product: Colours
    alpha: Colours
    box: Box
    taken: Colours
    cut: CutOut | None
