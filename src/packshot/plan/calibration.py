"""What a step costs on this machine: a few real ones, and a line through them.

A step's time is modelled as launch + pictures x seconds a picture; its memory as what is there
before, the LoRA's masters with gradients and Adam's moments (16 bytes a parameter), and what
autograd keeps for each picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from packshot import lora
from packshot.bases.base import Base
from packshot.memory import free_on, peak_bytes
from packshot.objective import Batch, losses
from packshot.plan.threads import settle_threads
from packshot.terms import Scope

MEMORY_MARGIN = 1.25
"""Measured runs took up to this much more than what autograd keeps: workspaces, fragmentation."""

SHOT_FORWARDS = 20 * 2
"""Denoiser passes of one picture: 20 steps, with the prompt and without."""


@dataclass(frozen=True)
class StepCost:
    """A step's cost at one picture size. Seconds are medians on this machine."""

    launch_seconds: float
    seconds_per_picture: float
    forward_seconds: float
    encode_seconds: float
    resident_bytes: int
    adapter_parameters: int
    saved_bytes_per_picture: int
    most_at_once: int
    """Pictures that fit the free memory together; 0 if not even one does."""
    threads: int = 0
    """CPU threads that it was measured with; 0 on a GPU."""
    checkpointing: bool = False
    """Whether blocks are computed again for gradients."""

    def seconds(self, batch: int, accumulation: int = 1) -> float:
        """One step with `batch` pictures, in `accumulation` parts."""
        return accumulation * self.launch_seconds + batch * self.seconds_per_picture

    def bytes(self, at_once: int) -> int:
        """Peak memory of a step with `at_once` pictures in each part."""
        saved = at_once * self.saved_bytes_per_picture
        return int(self.resident_bytes + 16 * self.adapter_parameters + MEMORY_MARGIN * saved)


def calibrate(
    base: Base,
    *,
    pixels: int,
    targets: Scope,
    rank: int,
    batch: int,
    checkpointing: bool = False,
    text_rank: int = 0,
) -> StepCost:
    """Run a few real training steps on random latents of a square picture with `pixels` a side.

    Raises:
        PlanInvalid, CheckpointRefused: as `packshot.lora.adapted`.
    """
    with torch.no_grad():
        picture = torch.zeros(1, 3, pixels, pixels, device=base.device, dtype=base.dtype)
        latents = base.encode_images(picture).float()
        threads = _settle(base, latents)
        encode_seconds = _median_seconds(base, lambda: base.encode_images(picture))
    free = free_on(base.device)
    adapted = lora.adapted(base, targets, rank=rank, alpha=rank, seed=0, text_rank=text_rank)
    with (
        adapted as adapter,
        base.checkpointed(checkpointing),
    ):
        parameters = list(adapter.named_parameters().values())
        count = sum(parameter.numel() for parameter in parameters)
        read = partial(_read, base) if text_rank else _as_it_is
        saved = _saved_bytes(base, _random_batch(base, latents, 1), read)
        most = max(0, int((free - 16 * count) / (MEMORY_MARGIN * saved)))
        few, many = 1, max(1, min(max(2, batch), most))
        batches = {size: _random_batch(base, latents, size) for size in (few, many)}
        seconds = {
            size: _median_seconds(base, partial(_train_step, base, some, parameters, read))
            for size, some in batches.items()
        }
        with torch.no_grad():
            forward = _median_seconds(base, lambda: losses(base, batches[few], 0.0))
    slope = max(0.0, (seconds[many] - seconds[few]) / (many - few)) if many > few else seconds[few]
    return StepCost(
        launch_seconds=max(0.0, seconds[few] - slope),
        seconds_per_picture=slope,
        forward_seconds=forward,
        encode_seconds=encode_seconds,
        resident_bytes=peak_bytes(base),
        adapter_parameters=count,
        saved_bytes_per_picture=saved,
        most_at_once=most,
        threads=threads,
        checkpointing=checkpointing,
    )


@torch.no_grad()
def seconds_per_shot(base: Base) -> float:
    """Time to make one picture of the base's own size, its decoding left out."""
    side = base.native_pixels
    picture = torch.zeros(1, 3, side, side, device=base.device, dtype=base.dtype)
    latents = base.encode_images(picture).float()
    _settle(base, latents)
    batch = _random_batch(base, latents, 1)
    return SHOT_FORWARDS * _median_seconds(base, lambda: losses(base, batch, 0.0))


def _settle(base: Base, latents: Tensor) -> int:
    """Settle the CPU threads by a pass of the denoiser."""
    batch = _random_batch(base, latents, 1)
    with torch.no_grad():
        return settle_threads(base.device, lambda: losses(base, batch, 0.0))


def _random_batch(base: Base, latents: Tensor, size: int) -> Batch:
    conditioning = base.empty_conditioning(size)
    several = latents.expand(size, -1, -1, -1).contiguous()
    shares = (torch.arange(size, device=base.device) + 0.5) / size
    times = base.schedule.timesteps(shares, latents[0, 0].numel())
    ones = torch.ones(size, 1, *latents.shape[-2:], device=base.device)
    return Batch(
        several, torch.randn_like(several), times, conditioning, ones, ones[:, 0, 0, 0].clone()
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _read(base: Base, batch: Batch) -> Batch:
    """The batch with prompts that the text encoders have just read, for their gradients."""
    return replace(batch, conditioning=base.encode_prompts([""] * len(batch.latents)))


def _train_step(
    base: Base, batch: Batch, parameters: list[torch.nn.Parameter], read: Callable[[Batch], Batch]
) -> None:
    losses(base, read(batch), 0.0).mean().backward()
    for parameter in parameters:
        parameter.grad = None


def _saved_bytes(base: Base, batch: Batch, read: Callable[[Batch], Batch] = _as_it_is) -> int:
    """Bytes that autograd keeps for the backward pass of `batch`, each storage once."""
    kept: dict[int, int] = {}
    networks = (base.denoiser, *base.text_encoders.values())
    frozen = {parameter.data_ptr() for network in networks for parameter in network.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in frozen:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = losses(base, read(batch), 0.0).mean()
    loss.backward()
    return sum(kept.values()) // len(batch.latents)


def _median_seconds(base: Base, work: Callable[[], object], repeats: int = 3) -> float:
    """Median time of `work` after one warm-up; slow work (over 2 s) is timed once."""
    times = []
    for index in range(repeats + 1):
        started = time.perf_counter()
        work()
        if base.device.type == "cuda":
            torch.cuda.synchronize(base.device)
        times.append(time.perf_counter() - started)
        if index == 1 and times[-1] > 2:
            break
    kept = sorted(times[1:])
    return kept[len(kept) // 2]
