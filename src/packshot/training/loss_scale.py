"""Dynamic loss scaling (arXiv 1710.03740): gradients that fp16 is too narrow for are moved into its range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import torch
from torch import Tensor, nn

FIRST = 2.0**16
GROWTH_INTERVAL = 200
"""Finite steps in a row after which the scale is doubled: a run has about a thousand."""
MOST_SKIPPED = 20
"""In a row; from `FIRST` on, the scale has long been 1 by then."""


@dataclass
class LossScale:
    """The factor of the loss before its gradients are computed.

    It is a power of two, so that scaling loses nothing. A step with gradients that are not finite is
    to be skipped; it halves the scale. As `torch.amp.GradScaler`, but for the interval and a least
    scale of 1, and saved whole with the run.

    Attributes:
        value: the factor.
        finite: steps with finite gradients since it changed.
        skipped: steps in a row that were skipped until now.
    """

    value: float = FIRST
    finite: int = 0
    skipped: int = 0

    @torch.no_grad()
    def unscale(self, parameters: Iterable[nn.Parameter]) -> None:
        """Divide the gradients by the scale."""
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(1 / self.value)

    def update(self, *, is_finite: bool) -> None:
        """Take a step's outcome into account."""
        self.finite, self.skipped = (self.finite + 1, 0) if is_finite else (0, self.skipped + 1)
        if not is_finite:
            self.value = max(1.0, self.value / 2)
        elif self.finite == GROWTH_INTERVAL:
            self.value, self.finite = self.value * 2, 0

    def state(self) -> Tensor:
        """Everything that the next step depends on, [3] in fp64."""
        return torch.tensor(astuple(self), dtype=torch.float64)

    @classmethod
    def of(cls, state: Tensor) -> LossScale:
        """As it was when `state()` was taken."""
        value, finite, skipped = state.tolist()
        return cls(value, int(finite), int(skipped))
