"""The optimizer of a run: AdamW with the plan's learning rates, in fp16 on gradients of a scaled loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from packshot import lora
from packshot.plan.config import Plan
from packshot.training.loss_scale import LossScale
from packshot.training.run_state import State

_LOSS_SCALE = "loss_scale"
"""Its key in a saved state, beside those of the moments, "<parameter>/<moment>"."""


class Optimizer:
    """AdamW over the adapter's fp32 parameters, with the plan's learning rates.

    In fp16 its gradients are those of a scaled loss until they are clipped.
    """

    def __init__(self, adapter: lora.Adapters, plan: Plan) -> None:
        self.adapter, self.plan, self.step = adapter, plan, 0
        self.named = adapter.named_parameters()
        self.loss_scale = LossScale() if plan.precision == "fp16" else None
        groups = [list(adapter.denoiser.named_parameters().values())]
        if adapter.text_encoders:
            groups.append(list(adapter.text_encoder_parameters().values()))
        self.adamw = torch.optim.AdamW(
            [{"params": group} for group in groups],
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            fused=True,
        )

    def learning_rate(self, step: int) -> float:
        """The rate of step 1, 2, …: linear warm-up, then constant or cosine down to a tenth."""
        plan = self.plan
        if step <= plan.lr_warmup_steps:
            return plan.learning_rate * step / plan.lr_warmup_steps
        if plan.lr_scheduler == "constant":
            return plan.learning_rate
        done = (step - plan.lr_warmup_steps) / max(1, plan.steps - plan.lr_warmup_steps)
        return plan.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))

    @property
    def has_learnt(self) -> bool:
        """Whether any step has been applied."""
        return any(self.adamw.state.values())

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those that there are."""
        (loss * self.loss_scale.value if self.loss_scale else loss).backward()

    def apply(self, step: int) -> None:
        """Step the optimizer and clear the gradients."""
        self.step = step  # first: who breaks it off sees that the state is not the last step's
        now, plan = self.learning_rate(step), self.plan
        rates = (now, now * plan.text_encoder_learning_rate / plan.learning_rate)
        for group, rate in zip(self.adamw.param_groups, rates, strict=False):
            group["lr"] = rate
        self.adamw.step()
        self._end(is_finite=True)

    def skip(self, step: int) -> None:
        """Clear the gradients, which fp16 was too narrow for."""
        self.step = step
        self._end(is_finite=False)

    def _end(self, *, is_finite: bool) -> None:
        self.adamw.zero_grad(set_to_none=True)
        if self.loss_scale:
            self.loss_scale.update(is_finite=is_finite)

    def clip(self) -> Tensor:
        """Clip the gradients' total norm to the plan's maximum; returns the norm before."""
        if self.loss_scale:
            self.loss_scale.unscale(self.named.values())
        return torch.nn.utils.clip_grad_norm_(self.named.values(), self.plan.max_grad_norm)

    def state(self, held_out_losses: Sequence[float] = ()) -> State:
        """Everything that the next step, and the run's end, depends on."""
        moments = {
            f"{name}/{key}": value
            for name, parameter in self.named.items()
            for key, value in self.adamw.state[parameter].items()
        }
        scale = {_LOSS_SCALE: self.loss_scale.state()} if self.loss_scale else {}
        return State(self.step, self.adapter.state(), moments | scale, tuple(held_out_losses))

    def load(self, state: State) -> None:
        """Restore a saved state."""
        self.adapter.load_state(state.adapter)
        for key, value in state.optimizer.items():
            if key == _LOSS_SCALE:
                self.loss_scale = LossScale.of(value)
                continue
            name, _, moment = key.rpartition("/")
            self.adamw.state[self.named[name]][moment] = value.to(self.named[name].device)
        self.step = state.step
