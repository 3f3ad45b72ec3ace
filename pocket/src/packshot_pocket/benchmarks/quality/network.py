"""The residual blocks of both classifiers."""

from __future__ import annotations

from torch import nn

from packshot.models.identity_network import Residual


def residual_blocks(widths: tuple[int, ...]) -> nn.Sequential:
    """As many blocks as widths; each halves the sides, the last keeps its width."""
    pairs = zip(widths, (*widths[1:], widths[-1]), strict=True)
    return nn.Sequential(*(Residual(inputs, outputs) for inputs, outputs in pairs))
