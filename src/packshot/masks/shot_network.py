"""A small U-Net (arXiv 1505.04597) whose last step, at full size, sees the image again."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PIXELS = 192
"""Side of the square pictures that it takes."""
_FINE = 8
"""Channels at full size, where one more costs as much as thirty further down."""


def _convolved(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(convolution, nn.GroupNorm(8, outputs), nn.SiLU())


class _Block(nn.Module):
    """A convolution, and one more whose result is added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = _convolved(inputs, outputs), _convolved(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        added: Tensor = x + self.second(x)
        return added


class _Context(nn.Module):
    """What the whole picture shows, told to each place: its channels are scaled and moved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * channels, channels)
        self.told = nn.Linear(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        whole = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        scale, shift = self.told(F.silu(self.hidden(whole)))[..., None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class ShotNetwork(nn.Module):
    """Images [B, planes, side, side] in [-1, 1] to logits [B, 1, side, side]; sides divide by 2^widths.

    The first level works at half the side, each further one at half of the one before; the last
    step, at full size, sees the image again. A fourth plane is a mask to be mended.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 48, 96, 128, 128), planes: int = 3) -> None:
        super().__init__()
        self.widths = widths
        pairs = list(zip((4 * planes, *widths), widths, strict=False))
        self.down = nn.ModuleList(_Block(inputs, outputs) for inputs, outputs in pairs)
        self.context = _Context(widths[-1])
        ascending = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(_Block(below + skip, skip) for below, skip in ascending)
        self.fine = _convolved(widths[0] // 4 + planes, _FINE)
        self.out = nn.Conv2d(_FINE, 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits: above zero where the product is more probable than not."""
        _, ascending = self._levels(pictures)
        fine = self.fine(torch.cat([F.pixel_shuffle(ascending[-1], 2), pictures], dim=1))
        logits: Tensor = self.out(fine)
        return logits

    def features(self, pictures: Tensor) -> Tensor:
        """What the levels in the middle tell of each place: [B, channels, side / 2, side / 2]."""
        descending, ascending = self._levels(pictures)
        half = pictures.shape[-2] // 2, pictures.shape[-1] // 2
        levels = (*descending[1:3], *ascending[-3:-1])
        return torch.cat([F.interpolate(each, half, mode="bilinear") for each in levels], dim=1)

    def _levels(self, pictures: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The levels' results, downwards and up again."""
        x, descending = F.pixel_unshuffle(pictures, 2), []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            descending.append(x)
        x, ascending = self.context(x), []
        for block, skip in zip(self.up, descending[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
            ascending.append(x)
        return descending, ascending
