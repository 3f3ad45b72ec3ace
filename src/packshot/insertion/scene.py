"""What is known before the product is there, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.cutouts import CutOut
from packshot.insertion.lighting import Light
from packshot.insertion.placement import Placement
from packshot.insertion.shadows import Ground


@dataclass(frozen=True)
class Scene:
    """A crop of the background around the place, its ground and light, all in the crop's pixels."""

    background: Background
    crop: Box
    """In the background's pixels."""
    image: Colours
    ground: Ground
    light: Light
    placement: Placement


@dataclass(frozen=True)
class Composite:
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

    image: Colours
    changed_mask: Colours
    product: Colours
    alpha: Colours
    box: Box
    shadow: Colours
    cut: CutOut | None
