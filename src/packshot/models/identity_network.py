"""A small residual network (arXiv 1512.03385) of a product's identity: its shape, colours and print."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PIXELS = 96
"""Side of the square pictures that it takes."""


class Residual(nn.Module):
    """Halves the sides of its maps [B, C, H, W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, 2, 1),
            nn.GroupNorm(8, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, 1, 1),
        )  # fmt: skip
        self.past = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.past(F.avg_pool2d(x, 2))
        return shortcut + self.body(x)


class IdentityNetwork(nn.Module):
    """Products on grey, [B, 3, side, side] in [-1, 1], to unit vectors [B, dimensions].

    A vector sees what there is at two finer scales, wherever it is, and what is where at the coarsest.
    """

    def __init__(
        self, widths: tuple[int, ...] = (32, 64, 128, 192, 208), dimensions: int = 128
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 5, 2, 2)
        self.blocks = nn.ModuleList(
            Residual(inputs, outputs) for inputs, outputs in pairwise(widths)
        )
        self.normed = nn.ModuleList(nn.GroupNorm(8, width) for width in widths[-3:])
        self.across = PIXELS >> len(widths)
        features = 2 * sum(widths[-3:-1]) + widths[-1] * self.across**2
        self.projection = nn.Linear(features, dimensions)

    def forward(self, pictures: Tensor) -> Tensor:
        """The vectors."""
        x, maps = self.conv_in(pictures), []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        *finer, coarsest = (
            F.silu(norm(each)) for norm, each in zip(self.normed, maps[-3:], strict=True)
        )
        pooled = [part for each in finer for part in (each.mean(dim=(2, 3)), each.amax(dim=(2, 3)))]
        # Smaller pictures, as the first steps of training have.
        if coarsest.shape[-1] != self.across:
            coarsest = F.interpolate(coarsest, (self.across, self.across), mode="bilinear")
        features = torch.cat([*pooled, coarsest.flatten(1)], dim=1)
        return F.normalize(self.projection(features).float(), dim=-1)
