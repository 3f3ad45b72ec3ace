"""A small U-Net (arXiv 1505.04597) from an image to the product's probability per pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PIXELS = 128
"""Side of the square pictures that it takes."""


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1), nn.GroupNorm(8, outputs), nn.SiLU()]
    return nn.Sequential(*layers)


class SegmenterNetwork(nn.Module):
    """Images [B, 3, 128, 128] in [-1, 1] to logits [B, 1, 128, 128]."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96, 128)) -> None:
        super().__init__()
        self.widths = widths
        pairs = list(zip((3, *widths), widths, strict=False))
        self.down = nn.ModuleList(_block(inputs, outputs) for inputs, outputs in pairs)
        ascending = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(_block(below + skip, skip) for below, skip in ascending)
        self.out = nn.Conv2d(widths[0], 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits: above zero where the product is more probable than not."""
        x, skips = pictures, []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        logits: Tensor = self.out(x)
        return logits
