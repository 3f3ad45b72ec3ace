"""The training loop of all stages, until the steps or the time are used up.

Everything random is a function of (seed, step, stream), so a saved state is weights, moments and a
few counters, and an interrupted run resumes exactly.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from packshot.errors import TrainingDivergedError
from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.optim import Stepper

Report = dict[str, float]


@dataclass(frozen=True)
class LoopConfig:
    """Steps and learning rates: warm-up, constant, then linear decay to zero."""

    steps: int
    batch: int
    warmup_steps: int = 50
    decay_fraction: float = 0.25
    """Share of the run, at its end, in which the learning rate falls to zero."""
    seed: int = 0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class Budget:
    """The time budget of this call. Without `seconds` it runs to the planned number of steps."""

    seconds: float | None = None
    finish: bool = False
    """Let the learning rate fall in the last part of `seconds`, so that the stage ends there;
    otherwise it stops with a checkpoint and goes on in the next call."""
    steps: int | None = None
    """A new total of steps for a stage that has begun; None keeps what it was begun with."""
    stop_at_step: int | None = None
    """For tests: stop, with a checkpoint, before this step."""


def generator(seed: int, step: int, stream: str) -> np.random.Generator:
    """The random generator of one stream of one step."""
    return np.random.default_rng([seed, step, zlib.crc32(stream.encode())])


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Standard normal fp32 values of `shape`, made on the CPU: the same on every device."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def batch_indices(count: int, batch: int, step: int, seed: int) -> np.ndarray[Any, Any]:
    """The indices of a step's batch: every item once per epoch, reshuffled each epoch."""
    positions = np.arange(step * batch, (step + 1) * batch)
    epochs = positions // count
    orders = {int(e): generator(seed, int(e), "epoch").permutation(count) for e in set(epochs)}
    return np.array([orders[int(e)][p % count] for e, p in zip(epochs, positions, strict=True)])


@dataclass
class _Counters:
    """Where a stage is; written into its checkpoint."""

    step: int
    steps: int
    decay_from: int
    seconds: float = 0.0

    def replan(self, steps: int, decay_fraction: float) -> None:
        """Plan `steps` in all, the last share of them for the decay, not before now."""
        self.steps = steps
        self.decay_from = max(self.step, round(steps * (1 - decay_fraction)))

    def rate(self, warmup_steps: int) -> float:
        """The learning rate of the coming step as a share of its full value."""
        warm = min(1.0, (self.step + 1) / max(1, warmup_steps))
        left = (self.steps - self.step) / max(1, self.steps - self.decay_from)
        return warm * min(1.0, left)


class Loop:
    """Runs one stage: `loss(step)` gives the loss of a batch, `evaluate()` reports figures."""

    def __init__(
        self,
        stage: str,
        folder: Path,
        stepper: Stepper,
        config: LoopConfig,
        loss: Callable[[int], Tensor],
        evaluate: Callable[[], Report],
    ) -> None:
        self.stage, self.folder, self.config = stage, folder, config
        self.stepper, self.loss, self.evaluate = stepper, loss, evaluate
        self.at = _Counters(step=0, steps=0, decay_from=0)
        self.at.replan(config.steps, config.decay_fraction)
        found = state.load(folder, stage)
        if found is not None:
            stepper.load(found[0])
            self.at = _Counters(**found[1]["at"])
            self._say(f"resumed at step {self.at.step}")

    def run(self, budget: Budget) -> Report:
        """Train until the budget or the steps are used up; the last evaluation."""
        if budget.steps is not None:
            self.at.replan(budget.steps, self.config.decay_fraction)
        started = checkpointed = time.monotonic()
        before, first = self.at.seconds, self.at.step
        smooth: float | None = None
        report: Report = {}
        while self.at.step < self.at.steps:
            passed = time.monotonic() - started
            self.at.seconds = before + passed
            if self._over(budget, passed, first):
                break
            value = self._step()
            smooth = value if smooth is None else smooth + 0.05 * (value - smooth)
            if (self.at.step - first) % 20 == 0:
                self._show(smooth, time.monotonic() - started, first, budget)
            if time.monotonic() - checkpointed > self.config.checkpoint_seconds:
                report = self._checkpoint({"loss": smooth})
                checkpointed = time.monotonic()
        return self._checkpoint({} if smooth is None else {"loss": smooth}) or report

    def _over(self, budget: Budget, passed: float, first: int) -> bool:
        """Whether to stop now; starts the decay when it must, to end in time."""
        if budget.stop_at_step is not None and self.at.step >= budget.stop_at_step:
            return True
        if budget.seconds is None:
            return False
        decaying = self.at.step >= self.at.decay_from
        if budget.finish and not decaying:
            share = 1 - self.config.decay_fraction
            if passed >= share * budget.seconds and self.at.step > first:
                pace = passed / (self.at.step - first)
                left = max(1, int((budget.seconds - passed) / pace))
                self.at.decay_from, self.at.steps = self.at.step, self.at.step + left
            return False
        return not budget.finish and passed >= budget.seconds

    def _step(self) -> float:
        loss = self.loss(self.at.step)
        value, norm = float(loss.detach()), 0.0
        if np.isfinite(value):
            loss.backward()
            norm = self.stepper.step(self.at.step, self.at.rate(self.config.warmup_steps))
        if not (np.isfinite(value) and np.isfinite(norm)):
            raise TrainingDivergedError(
                f"Stage '{self.stage}', step {self.at.step}: loss {value}, gradient {norm}. The "
                "last checkpoint is intact; lower the learning rate and run the stage again."
            )
        self.at.step += 1
        return value

    def _checkpoint(self, figures: Report) -> Report:
        self.stepper.copy_to_modules(averaged=True)
        report = {**figures, **self.evaluate()}
        self.stepper.copy_to_modules()
        counters = {"at": vars(self.at), "report": report}
        state.save(self.folder, self.stage, self.stepper.tensors(), counters)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in report.items())
        self._say(f"step {self.at.step} of {self.at.steps}, saved: {shown}")
        return report

    def _show(self, loss: float, passed: float, first: int, budget: Budget) -> None:
        pace = (self.at.step - first) / passed
        left = (self.at.steps - self.at.step) / pace
        if budget.seconds is not None:
            left = min(left, budget.seconds - passed)
        self._say(
            f"step {self.at.step}/{self.at.steps}  loss {loss:.4f}  "
            f"{pace * self.config.batch:.1f} samples/s  {max(0.0, left) / 60:.1f} min left"
        )

    def _say(self, text: str) -> None:
        print(f"[{self.stage}] {text}", file=sys.stderr, flush=True)
