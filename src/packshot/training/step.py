"""A step of training: the losses of its examples, their gradients, and what is refused of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch

from packshot.errors import TrainingDivergedError
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import per_image_loss
from packshot.plan.config import Plan
from packshot.training.dataset import TrainingSet
from packshot.training.events import Step, StepSkipped
from packshot.training.loss_scale import MOST_SKIPPED, LossScale
from packshot.training.optimizer import Optimizer
from packshot.training.processes import ALONE, Processes
from packshot.training.sampler import Slot, reseed


def take_step(
    base: DiffusionModel, plan: Plan, data: TrainingSet, optimizer: Optimizer, step: int,
    processes: Processes = ALONE,
) -> Step | StepSkipped:  # fmt: skip
    """Learn from the examples of a step, in micro-batches; of several processes each computes its share.

    Args:
        step: which one, from 1.

    Raises:
        TrainingDivergedError: a loss or gradient is not finite; in fp16, step after step.
        ProcessLostError: another process has ended.
    """
    started = time.monotonic()
    count = plan.effective_batch_size
    first = (step - 1) * count
    losses = torch.zeros(count)
    for part in _micro_batches(plan, processes):
        reseed(plan.seed, first + part.start)
        for group in data.groups(first + part.start, len(part)):
            each = per_image_loss(base, group.batch, plan.min_snr_gamma)
            optimizer.backward((each * group.batch.loss_weights).sum() / count)
            losses[[slot.number - first for slot in group.slots]] = torch.tensor(each.tolist())
    losses = processes.add_up(list(optimizer.named.values()), losses)
    slots = [data.slot(number) for number in range(first, first + count)]
    norm = float(optimizer.clip())
    if optimizer.loss_scale and not math.isfinite(norm + float(losses.sum())):
        return _skipped(optimizer, optimizer.loss_scale, step)
    _check_finite(norm, losses.tolist(), step, data, slots)
    optimizer.apply(step)
    told = list(zip(slots, losses.tolist(), strict=True))
    classes = [loss for slot, loss in told if slot.is_class]
    photos = [loss for slot, loss in told if not slot.is_class]
    return Step(
        step,
        plan.steps,
        (sum(photos) + plan.prior_loss_weight * sum(classes)) / count,
        sum(photos) / len(photos) if photos else None,
        sum(classes) / len(classes) if classes else None,
        optimizer.learning_rate(step),
        time.monotonic() - started,
    )


def _micro_batches(plan: Plan, processes: Processes) -> Iterator[range]:
    """This process's examples of a step, by their place in it, as many at once as the plan says."""
    share = processes.share(plan.effective_batch_size)
    most = plan.images_at_once
    for start in range(share.start, share.stop, most):
        yield range(start, min(start + most, share.stop))


def _skipped(optimizer: Optimizer, scale: LossScale, step: int) -> StepSkipped:
    optimizer.skip(step)
    if scale.skipped >= MOST_SKIPPED:
        raise overflown(scale.skipped)
    return StepSkipped(step, optimizer.plan.steps, scale.value, scale.skipped)


def overflown(count: int) -> TrainingDivergedError:
    """The error of so many steps in a row whose gradients fp16 was too narrow for."""
    return TrainingDivergedError(
        f"fp16 is too narrow for this training: the gradients of {count} steps in a row were not "
        'finite. What was learnt before is safe. Set precision to "fp32" in plan.toml and in '
        "decisions.toml (more memory, and slower), or lower learning_rate in plan.toml."
    )


def _check_finite(
    norm: float, losses: Sequence[float], step: int, data: TrainingSet, slots: Sequence[Slot]
) -> None:
    """Refuse a step whose losses (one a slot) or gradient norm are not finite, and name the images."""
    if math.isfinite(norm + sum(losses)):
        return
    odd = [slot for slot, loss in zip(slots, losses, strict=True) if not math.isfinite(loss)]
    names = ", ".join(sorted({data.picture(slot).file.name for slot in odd or slots}))
    raise TrainingDivergedError(
        f"The loss or its gradient is not finite at step {step} (images: {names}). The weights "
        "before this step are safe. Lower learning_rate in plan.toml, or remove that image."
    )
