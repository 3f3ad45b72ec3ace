"""A small network that says where an image's light may come from, and where on the ground shade lies."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PIXELS = 96
"""Side of the square pictures that it takes."""
SECTORS = 36
"""Directions that it tells apart: sector k is from 10 k to 10 (k + 1) degrees of azimuth."""
UNDIRECTED, ELEVATION, HARDNESS = SECTORS, SECTORS + 1, SECTORS + 2
OUTPUTS = SECTORS + 3
_ACROSS = 24
_POOLED = 12


class Said(NamedTuple):
    """What the network says of images.

    Attributes:
        light: logits [B, 39]: the azimuth's 36 sectors and a light without direction (one softmax goes
            over these 37), the sine of the elevation, the hardness.
        ground: logits per pixel [B, 2, 48, 48]: that it is level ground, and that cast shade lies there.
    """

    light: Tensor
    ground: Tensor


class LightNetwork(nn.Module):
    """Images [B, 3, 96, 96] in [-1, 1] to `Said`.

    Convolutions to a side of 3; the way back up (Lin et al. 2017, arXiv 1612.03144) draws the shade,
    which is then seen beside the features where the direction is told.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64, 96), hidden: int = 64) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                nn.GroupNorm(8, outputs),
                nn.SiLU(),
                nn.Conv2d(outputs, outputs, 3, padding=1),
                nn.GroupNorm(8, outputs),
                nn.SiLU(),
            )
            for inputs, outputs in zip((3, *widths), widths, strict=False)
        )
        self.across = nn.ModuleList(nn.Conv2d(width, _ACROSS, 1) for width in widths)
        self.up = nn.ModuleList(nn.Conv2d(_ACROSS, _ACROSS, 3, padding=1) for _ in widths)
        self.ground = nn.Conv2d(_ACROSS, 2, 1)
        deepest = widths[-1] * (PIXELS // 2 ** len(widths)) ** 2
        self.hidden = nn.Linear(deepest + 2 * _POOLED**2, hidden)
        self.out = nn.Linear(hidden, OUTPUTS)

    def one_sided(self, pictures: Tensor) -> Said:
        """What it says of the images as they are, to train it with."""
        features = []
        for stage in self.stages:
            pictures = stage(pictures)
            features.append(pictures)
        drawn: Tensor | None = None
        for feature, across, up in reversed(list(zip(features, self.across, self.up, strict=True))):
            level = across(feature)
            if drawn is not None:
                level = level + F.interpolate(drawn, size=level.shape[2:], mode="nearest")
            drawn = F.silu(up(level))
        ground = self.ground(drawn)
        shares = F.adaptive_avg_pool2d(ground.sigmoid(), _POOLED)
        seen = torch.cat([features[-1].flatten(1), shares.flatten(1)], dim=1)
        return Said(self.out(F.silu(self.hidden(seen))), ground)

    def forward(self, pictures: Tensor) -> Said:
        """The mean of what it says of the image and, mirrored back, of its mirror image."""
        own, other = self.one_sided(pictures), self.one_sided(pictures.flip(3))
        return Said(
            (own.light + mirrored(other.light)) / 2, (own.ground + other.ground.flip(3)) / 2
        )


def mirrored(light: Tensor) -> Tensor:
    """What would be said of the light [B, 39] of the mirror images: azimuth a becomes 180 - a."""
    own = torch.arange(OUTPUTS)
    own[:SECTORS] = (SECTORS // 2 - 1 - own[:SECTORS]) % SECTORS
    return light[:, own.to(light.device)]
