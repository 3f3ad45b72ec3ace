"""The residual blocks of both classifiers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class _Residual(nn.Module):
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


def residual_blocks(widths: tuple[int, ...]) -> nn.Sequential:
    """As many blocks as widths; each halves the sides, the last keeps its width."""
    pairs = zip(widths, (*widths[1:], widths[-1]), strict=True)
    return nn.Sequential(*(_Residual(inputs, outputs) for inputs, outputs in pairs))
