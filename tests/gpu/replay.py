"""What computes the same again on a simulated GPU without values takes its memory, and computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from packshot.class_images import from_base
from packshot.class_images.from_base import _pictures
from packshot.generation import generate
from packshot.generation.generate import _at_once
from packshot.insertion import inpaint
from packshot.insertion.inpaint import _painted
from packshot.models.loss import per_image_loss
from packshot.models.model_offload import bring
from packshot.plan import calibration
from packshot.plan.calibration import trace_step, train_step
from packshot.training import learning
from packshot.training.step import take_step
from tests.gpu import simulated


class Replay:
    """The bytes and results of what was computed, by all that its memory depends on.

    Attributes:
        step_peak: bytes in use at the peak of the last step of training.
    """

    def __init__(self) -> None:
        self.step_peak = 0
        self._seen: dict[Any, tuple[int, Any]] = {}

    def install(self, patch: Any) -> None:
        """Put itself in the place of what computes."""
        patch.setattr(calibration, "trace_step", self._trace_step)
        patch.setattr(calibration, "train_step", self._train_step)
        patch.setattr(calibration, "per_image_loss", self._per_image_loss)
        patch.setattr(learning, "take_step", self._take_step)
        patch.setattr(generate, "_at_once", self._shots)
        patch.setattr(from_base, "_pictures", self._class_pictures)
        patch.setattr(inpaint, "_painted", self._painted)

    def _once(self, base: Any, work: Callable[[], Any], *key: Any) -> Any:
        base.bring_denoiser()
        key, memory = (*_lies(base), *key), simulated.MEMORY
        start = memory.used
        if key not in self._seen:
            self._seen[key] = _measured(work)
        taken, result = self._seen[key]
        memory.claim(start + taken - memory.used)
        if "train" in key:
            self.step_peak = start + taken
        return result

    def _trace_step(self, base: Any, make: Any) -> Any:
        batch = make()
        found = self._once(
            base, lambda: trace_step(base, lambda: batch), "trace", batch.latents.shape
        )
        for one in base.denoiser.parameters():
            if one.requires_grad and one.grad is None:
                one.grad = torch.zeros_like(one)
        return found

    def _train_step(self, base: Any, batch: Any, optimizer: Any, read: Any) -> None:
        key = "step", batch.latents.shape, not optimizer.state
        self._once(base, lambda: train_step(base, batch, optimizer, read), *key)
        _learn(optimizer)

    def _take_step(
        self, base: Any, plan: Any, data: Any, optimizer: Any, number: int, *rest: Any
    ) -> Any:
        def work() -> Any:
            return take_step(base, plan, data, optimizer, number, *rest)

        done = self._once(base, work, "train", plan.images_at_once, plan.resolution)
        _learn(optimizer.adamw)
        optimizer.step = number
        return replace(done, step=number)

    def _per_image_loss(self, base: Any, batch: Any, gamma: float) -> Any:
        if torch.is_grad_enabled():
            return per_image_loss(base, batch, gamma)
        return self._once(
            base, lambda: per_image_loss(base, batch, gamma).cpu(), "pass", batch.latents.shape
        )

    def _pictured(self, base: Any, work: Callable[[], Any], *key: Any) -> Any:
        adapted = sum(one.numel() for n, one in base.denoiser.named_parameters() if "down" in n)
        pictures = self._once(base, work, *key, adapted)
        bring(base.vae)
        return pictures

    def _shots(self, base: Any, pipeline: Any, shots: Any) -> Any:
        key = "made", len(shots), shots[0].width
        return self._pictured(base, lambda: _at_once(base, pipeline, shots), *key)

    def _class_pictures(self, base: Any, noun: str, indices: Any) -> Any:
        key = "made", len(indices), base.native_pixels
        return self._pictured(base, lambda: _pictures(base, noun, indices), *key)

    def _painted(self, base: Any, crop: Any, *given: Any) -> Any:
        return self._pictured(base, lambda: _painted(base, crop, *given), "painted", crop.shape)


def _learn(optimizer: Any) -> None:
    """Leave an optimizer as after a step."""
    for parameter in (one for group in optimizer.param_groups for one in group["params"]):
        parameter.grad = None
        if not optimizer.state[parameter]:
            optimizer.state[parameter] = {
                "step": torch.zeros(()), "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }  # fmt: skip


def _lies(base: Any) -> tuple[Any, ...]:
    """All that the memory of the same computation depends on."""
    hooks = (getattr(net, "_hf_hook", None) for net in (base.vae, *base.text_encoders.values()))
    places = [hook and hook.place.type for hook in hooks]
    tiles, twice = base.vae.use_tiling, base.denoiser.is_gradient_checkpointing
    return base.weight_storage, *places, tiles, twice


def _measured(work: Callable[[], Any]) -> tuple[int, Any]:
    """The bytes that some work takes at its peak beside what lies there before, and its result; as on a
    GPU that has room for it."""
    memory = simulated.MEMORY
    peak, size, start = memory.peak, memory.size, memory.used
    memory.peak, memory.size = start, 2**60
    try:
        result = work()
        return memory.peak - start, result
    finally:
        memory.peak, memory.size = peak, size
