"""When training is done: a loss that chance does not move, and the rule that reads it (DVAR).

The loss of a step says little of how far the product is learnt: it changes more with the noise, the
timestep and the image than with the LoRA. The same few examples, always with the same noise and
timesteps, have a loss that the LoRA alone moves; when it moves no more, training is done: the variance
over the last evaluations is small against that over all (arXiv 2302.04841).

The examples are crops of the photos that training does not show; no photo is held out for them, for a
product has few, and each has a side of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from packshot.models.compiled_blocks import uncompiled
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import per_image_loss
from packshot.plan.config import Plan
from packshot.plan.evaluations import HELD_OUT
from packshot.training.dataset import TrainingSet
from packshot.training.events import Evaluated
from packshot.training.processes import ALONE, Processes


def variance_share(losses: Sequence[float], window: int) -> float | None:
    """The variance of the last `window` losses over that of all; None before there are more than those.

    1 and more while the loss moves, towards 0 as it settles. Losses that are all the same have 0.
    """
    if len(losses) <= window:
        return None
    whole = float(np.var(losses))
    return float(np.var(losses[-window:])) / whole if whole > 0 else 0.0


@torch.no_grad()
def held_out_loss(
    base: DiffusionModel, plan: Plan, data: TrainingSet, processes: Processes = ALONE
) -> float:
    """The mean loss of the examples that are held out; the same LoRA has the same, bit for bit on a CPU.

    Of several processes each computes some of them, and all get the mean.
    """
    batches = data.held_out_batches(
        min(plan.images_at_once, -(-HELD_OUT // processes.count)), processes
    )
    each = (per_image_loss(base, batch, plan.min_snr_gamma).cpu() for batch in batches)
    total = sum(float(losses.double().sum()) for losses in each)  # Apple's GPUs know no fp64
    return float(processes.sum(torch.tensor(total, dtype=torch.float64))) / HELD_OUT


@dataclass
class Convergence:
    """A run's held-out losses so far, and whether they have settled.

    Attributes:
        goes_on: whether the run trains to its last step all the same.
    """

    plan: Plan
    goes_on: bool = False
    losses: list[float] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """As `variance_share` of the plan's window."""
        return variance_share(self.losses, self.plan.early_stopping_window)

    @property
    def is_done(self) -> bool:
        """Whether the run ends here; never where the plan sets no share."""
        share = self.share
        is_still = share is not None and share < self.plan.early_stopping_variance
        return is_still and not self.goes_on

    def is_due(self, step: int) -> bool:
        """Whether it is evaluated after this step."""
        every = self.plan.eval_every_n_steps
        return every > 0 and step % every == 0

    def evaluate(
        self, step: int, base: DiffusionModel, data: TrainingSet, processes: Processes = ALONE
    ) -> Evaluated:
        """Measure the LoRA as it is after this step."""
        with uncompiled(self.plan.torch_compile):
            self.losses.append(held_out_loss(base, self.plan, data, processes))
        return Evaluated(step, self.losses[-1], self.share, self.is_done)
