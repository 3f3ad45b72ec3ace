"""Measuring the cost of a training step and of generating an image on this machine.

A step's time is modelled as launches + images x seconds per image, with one launch for each image
shape in it; its memory as in `step_memory.py`.

Measured once: `step_cost`, `shot_seconds` and `threads_for` record their results in decisions.toml,
so that the plan does not change with the machine's load; unless a time budget is refused by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import Tensor

from packshot import lora
from packshot.decisions import Decisions, Scalar, Value
from packshot.errors import InsufficientMemoryError
from packshot.models.device_memory import (
    OVERHEAD,
    attempt,
    bytes_in_use,
    device_name,
    left_beside,
    not_enough_for,
    peak_bytes,
    within_memory,
)
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import Batch, per_image_loss
from packshot.plan.cpu_threads import AVAILABLE, choose_cpu_threads
from packshot.plan.recipes import recipe_for
from packshot.plan.step_memory import most_pictures, step_bytes, trace_step
from packshot.types import TargetModules
from packshot.utils import files, hashing

REPEATS = 3
"""Of each timing, after one that warms up."""
SHOTS_AT_ONCE = 4
"""Pictures that are made together; see `packshot.generation.generate.GenerationSettings.batch`."""
SECONDS_BETWEEN_SAVES = 30.0
SAVING_SHARE = 0.02
"""The most of a run's time that saving its state may take."""
_STATE_BYTES = 12
"""Of a LoRA's parameter in a saved state: itself and two moments, in fp32."""


@dataclass(frozen=True)
class StepCost:
    """A step's cost at one resolution. Seconds are medians on this machine."""

    launch_seconds: float
    seconds_per_picture: float
    encode_seconds: float
    resident_bytes: int
    adapter_parameters: int
    working_bytes_per_picture: int
    """Of a step's own tensors at their peak."""
    most_at_once: int
    """Pictures that fit the free memory together; 0 if not even one does."""
    checkpointing: bool = False
    """Whether blocks are computed again for gradients."""

    def seconds(self, batch: int, launches: float = 1) -> float:
        """Seconds of one step with `batch` images in `launches` groups of one shape."""
        return launches * self.launch_seconds + batch * self.seconds_per_picture

    def bytes(self, at_once: int) -> int:
        """Peak bytes of a step with micro-batches of `at_once` images."""
        working = at_once * self.working_bytes_per_picture
        return step_bytes(self.resident_bytes, self.adapter_parameters, working)


def threads_for(base: DiffusionModel, decisions: Decisions) -> int:
    """Set PyTorch to the number of CPU threads fastest for this base; returns it, 0 on a GPU."""
    if base.device.type != "cpu":
        return 0

    def measure() -> tuple[Value, str]:
        with torch.no_grad():
            batch = random_batch(base, blank_latents(base, base.native_pixels), 1)
            return choose_cpu_threads(lambda: per_image_loss(base, batch, 0.0))

    because = machine(base) | {"cores": AVAILABLE}
    threads = int(decisions.settle("threads", because, measure).value)
    torch.set_num_threads(threads)
    return threads


def shot_seconds(base: DiffusionModel, decisions: Decisions) -> float:
    """Seconds to generate one image of the base's own size with its default sampler."""
    sampler = base.sampler
    passes = base.count_passes(sampler.guidance_scale)

    @torch.no_grad()
    def measure() -> tuple[Value, str]:
        base.pipeline()  # imports what is needed for the first picture
        latents = blank_latents(base, base.native_pixels)
        one_pass = _seconds_of_a_pass(base, latents, passes)
        decoding = median_seconds(
            base, lambda: within_memory(base, lambda: base.decode_latents(latents), "an image")
        )
        seconds = sampler.steps * one_pass + decoding
        return round(seconds, 4), f"{sampler.steps} steps of {sampler.name}, and decoding"

    because = machine(base) | {"sampler": f"{sampler.name}, {sampler.steps}, {passes}"}
    return float(decisions.settle("shot_seconds", because, measure).value)


def _seconds_of_a_pass(base: DiffusionModel, latents: Tensor, passes: int) -> float:
    """Seconds of the denoiser for one image and step, with as many at once as there is memory for."""

    def timed(at_once: int) -> float:
        batch = random_batch(base, latents, at_once * passes)
        return median_seconds(base, lambda: per_image_loss(base, batch, 0.0)) / at_once

    for at_once in (SHOTS_AT_ONCE, 1):
        if (seconds := attempt(base.device, partial(timed, at_once))) is not None:
            return seconds
    raise InsufficientMemoryError(not_enough_for(base, "an image"))


def step_cost(
    base: DiffusionModel,
    decisions: Decisions,
    *,
    pixels: int,
    targets: TargetModules,
    rank: int,
    batch: int,
    checkpointing: bool = False,
    text_rank: int = 0,
    assistant: Sequence[tuple[lora.Lora, float]] = (),
    anew: bool = False,
) -> StepCost:
    """The result of `calibrate`, measured once per setting.

    Args:
        assistant: LoRAs beside the one that is learnt.
        anew: measure again.
    """

    def measure() -> tuple[Value, str]:
        cost = calibrate(
            base, pixels=pixels, targets=targets, rank=rank, batch=batch,
            checkpointing=checkpointing, text_rank=text_rank, assistant=assistant,
        )  # fmt: skip
        return asdict(cost), f"{cost.seconds(batch):.3g} s a step of {batch} alike, measured"

    because: dict[str, Scalar | None] = {
        **machine(base), "threads": threads_for(base, decisions), "pixels": pixels,
        "targets": targets, "rank": rank, "batch": batch, "checkpointing": checkpointing,
        "text_rank": text_rank, "overhead": OVERHEAD,
        "assistant": " ".join(helper.sha256[:12] for helper, _ in assistant) or None,
    }  # fmt: skip
    return StepCost(**decisions.settle("step_cost", because, measure, anew=anew).value)


def seconds_between_saves(decisions: Decisions, parameters: int) -> float:
    """Half a minute, or longer where saving the state of a run takes a while (`SAVING_SHARE`).

    The disk is measured with as much data: many are quick at first.

    Args:
        parameters: the LoRA's.
    """
    size = _STATE_BYTES * parameters

    def measure() -> tuple[Value, str]:
        place = decisions.file.with_name(".saving")
        block = torch.rand(min(size, 2**26) // 4).numpy().data.cast("B")
        parts = [block] * (size // len(block))
        started = time.perf_counter()
        try:
            files.write_parts(place, parts)
            hashing.sha256_of(*parts)
            seconds = time.perf_counter() - started
        finally:
            place.unlink(missing_ok=True)
        return round(seconds, 4), f"writing and hashing {size / 2**20:.3g} MiB"

    seconds = float(decisions.settle("saving_seconds", {"bytes": size}, measure).value)
    return max(SECONDS_BETWEEN_SAVES, seconds / SAVING_SHARE)


def step_fits(base: DiffusionModel) -> bool:
    """Whether a training step on one image of the base's own size fits the memory, in the least way."""
    recipe = recipe_for(base.family, base.path)
    adapted = partial(
        lora.add_adapters, base, recipe.target_modules, rank=recipe.rank, alpha=recipe.rank, seed=0
    )

    def pictures() -> int:
        latents = blank_latents(base, base.native_pixels)
        with (
            as_in_training(base) as (_, free),
            adapted() as adapter,
            base.gradient_checkpointing(),
        ):
            working, _ = trace_step(base, lambda: random_batch(base, latents, 1))
        return most_pictures(free, adapter.parameter_count, working)

    return bool(attempt(base.device, pictures))


def calibrate(
    base: DiffusionModel,
    *,
    pixels: int,
    targets: TargetModules,
    rank: int,
    batch: int,
    checkpointing: bool = False,
    text_rank: int = 0,
    assistant: Sequence[tuple[lora.Lora, float]] = (),
) -> StepCost:
    """Time a few training steps on random latents of a square image of `pixels` a side.

    Where memory gives out, no picture fits (`most_at_once` is 0).

    Raises:
        InvalidPlanError, ModelLoadError: as `packshot.lora.adapters`.
        LoraError: as `packshot.lora.fused`.
    """
    settings = (pixels, targets, rank, batch, checkpointing, text_rank, assistant)
    if cost := attempt(base.device, lambda: _calibrated(base, *settings)):
        return cost
    return StepCost(
        0.0, 0.0, 0.0, peak_bytes(base), 0, 0, most_at_once=0, checkpointing=checkpointing
    )


def _calibrated(
    base: DiffusionModel,
    pixels: int,
    targets: TargetModules,
    rank: int,
    batch: int,
    checkpointing: bool,
    text_rank: int,
    assistant: Sequence[tuple[lora.Lora, float]],
) -> StepCost:
    """See `calibrate`."""
    with torch.no_grad():
        picture = torch.zeros(1, 3, pixels, pixels, device=base.device, dtype=base.dtype)
        latents = blank_latents(base, pixels)
        encode_seconds = median_seconds(base, lambda: base.encode_images(picture))
    adapted = lora.add_adapters(base, targets, rank=rank, alpha=rank, seed=0, text_rank=text_rank)
    with (
        as_in_training(base, assistant, learns_text=bool(text_rank)) as (in_use, free),
        adapted as adapter,
        lora.fused(base, assistant),
        base.gradient_checkpointing(checkpointing),
    ):
        parameters = list(adapter.named_parameters().values())
        count = adapter.parameter_count
        read = reader(base, text_rank)
        single = random_batch(base, latents, 1)
        working, _ = trace_step(base, lambda: read(single))
        most = most_pictures(free, count, working)
        few, many = 1, max(1, min(max(2, batch), most))
        batches = {size: random_batch(base, latents, size) for size in (few, many)}
        optimizer = torch.optim.AdamW(parameters, lr=0.0, fused=True)

        def timed(size: int) -> float:
            return median_seconds(base, partial(train_step, base, batches[size], optimizer, read))

        seconds = {few: timed(few)}
        if (together := attempt(base.device, lambda: timed(many))) is not None:
            seconds[many] = together
        else:  # the sum of its tensors would fit, but not with the gaps between them
            most = many = few
    slope = max(0.0, (seconds[many] - seconds[few]) / (many - few)) if many > few else seconds[few]
    return StepCost(
        launch_seconds=max(0.0, seconds[few] - slope),
        seconds_per_picture=slope,
        encode_seconds=encode_seconds,
        resident_bytes=peak_bytes(base) if in_use is None else in_use,
        adapter_parameters=count,
        working_bytes_per_picture=working,
        most_at_once=most,
        checkpointing=checkpointing,
    )


@contextmanager
def as_in_training(
    base: DiffusionModel,
    assistant: Sequence[tuple[lora.Lora, float]] = (),
    *,
    learns_text: bool = False,
) -> Iterator[tuple[int | None, int]]:
    """The base as it lies while it learns; yields the bytes that are in use then, beside an assistant
    (None on the CPU, whose peak counts), and those that are left."""
    with base.encoders_moved_to(torch.device("cpu"), text=not learns_text):
        base.bring_denoiser()
        with lora.fused(base, assistant):
            in_use = bytes_in_use(base.device) if base.device.type == "cuda" else None
            left = left_beside(base.device)
        yield in_use, left


def machine(base: DiffusionModel) -> dict[str, Scalar]:
    """The machine's description, for which measured times are valid."""
    precision = str(base.dtype).removeprefix("torch.")
    return {
        "base": base.content_hash[:12],
        "storage": base.weight_storage,
        "precision": precision,
        "device": device_name(base.device),
    }


@torch.no_grad()
def blank_latents(base: DiffusionModel, pixels: int) -> Tensor:
    """Latents [1, C, h, w] of a square image, fp32."""
    picture = torch.zeros(1, 3, pixels, pixels, device=base.device, dtype=base.dtype)
    size = f"encoding an image of {pixels} x {pixels} px"
    return within_memory(base, lambda: base.encode_images(picture), size).float()


def random_batch(base: DiffusionModel, latents: Tensor, size: int) -> Batch:
    """A batch of `size` times the same latents [1, C, h, w], with random noise and empty prompts."""
    conditioning = base.empty_conditioning(size)
    several = latents.expand(size, -1, -1, -1).contiguous()
    quantiles = (
        torch.arange(size) + 0.5
    ) / size  # on the CPU: Apple's GPUs know no normal quantiles
    times = base.schedule.timesteps_at(quantiles, latents[0, 0].numel()).to(base.device)
    ones = torch.ones(size, 1, *latents.shape[-2:], device=base.device)
    return Batch(
        several, torch.randn_like(several), times, conditioning, ones, ones[:, 0, 0, 0].clone()
    )


def reader(base: DiffusionModel, text_rank: int) -> Callable[[Batch], Batch]:
    """What prepares a batch for a step: where the text encoders learn, they read its prompts."""
    return partial(_read, base) if text_rank else lambda batch: batch


def _read(base: DiffusionModel, batch: Batch) -> Batch:
    """The batch with prompts that the text encoders have just read, for their gradients."""
    return replace(batch, conditioning=base.encode_prompts([""] * len(batch.latents)))


def train_step(
    base: DiffusionModel,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    read: Callable[[Batch], Batch],
) -> None:
    """A step on a batch, which `read` prepares."""
    per_image_loss(base, read(batch), 0.0).mean().backward()
    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def median_seconds(base: DiffusionModel, work: Callable[[], object]) -> float:
    """Median time of `work` after one warm-up; slow work (over 2 s) is timed once."""
    times = []
    for index in range(REPEATS + 1):
        started = time.perf_counter()
        work()
        if base.device.type == "cuda":
            torch.cuda.synchronize(base.device)
        times.append(time.perf_counter() - started)
        if index == 1 and times[-1] > 2:
            break
    kept = sorted(times[1:])
    return kept[len(kept) // 2]
