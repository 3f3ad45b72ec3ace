"""A small network that estimates the direction of an image's strongest light."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PIXELS = 96
"""Side of the square pictures that it takes."""


class LightNetwork(nn.Module):
    """Images [B, 3, 96, 96] in [-1, 1] to [B, 4]: the direction towards the light, and a sun logit.

    The first three are right, away from the camera and up, of any length.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *widths), widths, strict=False):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                nn.GroupNorm(8, outputs),
                nn.SiLU(),
                nn.Conv2d(outputs, outputs, 3, padding=1),
                nn.GroupNorm(8, outputs),
                nn.SiLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.out = nn.Linear(widths[-1] * (PIXELS // 2 ** len(widths)) ** 2, 4)

    def forward(self, pictures: Tensor) -> Tensor:
        """The mean of the estimates for the image and, mirrored back, for its mirror image."""
        own, mirrored = (
            self.out(self.features(x).flatten(1)) for x in (pictures, pictures.flip(3))
        )
        other_side = torch.tensor([-1.0, 1.0, 1.0, 1.0], device=own.device, dtype=own.dtype)
        return (own + mirrored * other_side) / 2
