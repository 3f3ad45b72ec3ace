"""A base tried: loaded, a step of training, a decoding, a picture of few steps; with time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import psutil
import torch

from packshot import lora
from packshot.doctor.base import Choice
from packshot.doctor.report import Finding, gigabytes, seconds_text
from packshot.models import DiffusionModel, load_base
from packshot.models.device_memory import peak_bytes
from packshot.models.loss import per_image_loss
from packshot.plan.calibration import blank_latents, random_batch
from packshot.plan.cpu_threads import choose_cpu_threads
from packshot.training.loss_scale import LossScale
from packshot.utils.progress import Progress, silent

FEW_STEPS = 4
"""Of the picture."""
SLOW_STEP = 10.0
"""Seconds; a step that takes longer is not repeated."""
REPEATS = 3
"""Of a step that is not slow, after one that warms up; the fastest counts."""
FP16_SCALE = 2.0**10
"""Of the loss in fp16: a run finds its own, in more steps than are tried here."""
PROMPT = "a photo of a cup on a table"
_DAMAGED = "The base is damaged, or overflows: get its files again, or take another base."
_CONSTANT = 0.004
"""A standard deviation of each colour of less than one of 256 values: nothing is to be seen."""


def try_base(name: str, choice: Choice, progress: Progress = silent) -> Iterator[Finding]:
    """Load the base and use it; each finding comes as soon as it is known.

    Raises:
        PackshotError: as `load_base`.
        MemoryError, torch.OutOfMemoryError: no memory for it.
    """
    before = psutil.Process().memory_info().rss
    progress("loading", 0, 1)
    seconds, base = _clocked(
        lambda: load_base(
            name, device=choice.device.type, dtype=choice.place.dtype, storage=choice.way.storage
        )
    )
    yield _timed("loading", seconds)
    with _fitting_threads(base, choice):
        progress("training step", 0, 1)
        yield _training(base, choice, before)
        progress("decoding", 0, 1)
        decoding, is_finite = _decode(base)
        yield _decoding(decoding, is_finite)
        progress("picture", 0, 1)
        yield _picture(base, decoding)
    progress("picture", 1, 1)


@contextmanager
def _fitting_threads(base: DiffusionModel, choice: Choice) -> Iterator[None]:
    """As many CPU threads inside the block as a plan would take: fewer where others compute."""
    before = torch.get_num_threads()
    try:
        if base.device.type == "cpu" and choice.step_seconds < 1:  # else trying takes minutes
            with torch.no_grad():
                batch = random_batch(base, blank_latents(base, base.native_pixels), 1)
                threads, _ = choose_cpu_threads(lambda: per_image_loss(base, batch, 0.0))
                torch.set_num_threads(int(threads))  # type: ignore[arg-type]
        yield
    finally:
        torch.set_num_threads(before)


def _timed(about: str, seconds: float, more: str = "") -> Finding:
    return Finding(about, f"{seconds_text(seconds)}{more}", numbers={"seconds": seconds})


def _training(base: DiffusionModel, choice: Choice, before: int) -> Finding:
    """A step with its loss, gradient, time and memory, beside what was predicted."""
    seconds, loss, norm = _steps(base, choice)
    peak = peak_bytes(base) - (0 if base.device.type == "cuda" else before)
    predicted = choice.way.bytes
    if base.device.type != "cuda":  # where they have nowhere else to go
        predicted += choice.estimate.encoder_bytes
    numbers = {
        "seconds": seconds, "predicted_seconds": choice.step_seconds, "peak_bytes": float(peak),
        "predicted_bytes": float(predicted), "loss": loss, "gradient_norm": norm,
    }  # fmt: skip
    if not np.isfinite([loss, norm]).all():
        text = f"loss {loss:.4g}, gradient {norm:.4g}: not finite"
        finite = {key: value for key, value in numbers.items() if np.isfinite(value)}
        return Finding("training step", text, "problem", _DAMAGED, finite)
    if norm == 0:
        text = f"loss {loss:.4g}, but no gradient: nothing would be learnt"
        return Finding(
            "training step", text, "problem", "Please report it with these lines.", numbers
        )
    what = "GPU memory" if base.device.type == "cuda" else "main memory, with loading and libraries"
    text = (
        f"{seconds_text(seconds)} (predicted {seconds_text(choice.step_seconds)}); at most "
        f"{gigabytes(peak)} of {what} (predicted {gigabytes(predicted)}); "
        f"loss {loss:.3f} and gradient are finite"
    )
    return Finding("training step", text, numbers=numbers)


def _steps(base: DiffusionModel, choice: Choice) -> tuple[float, float, float]:
    """Seconds, loss and norm of the gradient of a step; the first one only warms up."""
    batch = random_batch(base, blank_latents(base, base.native_pixels), 1)
    recipe, way = choice.recipe, choice.way
    checkpointing = way.checkpointing and way.storage != "offload"
    with ExitStack() as stack:
        stack.enter_context(base.encoders_moved_to(torch.device("cpu")))
        adapter = stack.enter_context(
            lora.add_adapters(
                base, recipe.target_modules, rank=recipe.rank, alpha=recipe.rank, seed=0
            )
        )
        stack.enter_context(base.gradient_checkpointing(checkpointing))
        _forget_peak(base)
        parameters = list(adapter.named_parameters().values())
        optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, fused=True)
        scale = LossScale(FP16_SCALE if base.dtype == torch.float16 else 1.0)

        def step() -> tuple[float, float]:
            loss = per_image_loss(base, batch, 0.0).mean()
            (loss * scale.value).backward()
            scale.unscale(parameters)
            norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return loss.item(), float(norm)  # waits for the GPU

        seconds, (loss, norm) = _clocked(step)
        if seconds < SLOW_STEP:
            seconds = min(_clocked(step)[0] for _ in range(REPEATS))
        return seconds, loss, norm


def _clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _forget_peak(base: DiffusionModel) -> None:
    if base.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(base.device)


def _decode(base: DiffusionModel) -> tuple[float, bool]:
    """Seconds of decoding a picture, and whether its values are finite."""
    latents = blank_latents(base, base.native_pixels)
    base.decode_latents(latents)  # warms up
    return _clocked(lambda: bool(base.decode_latents(latents).isfinite().all()))


def _decoding(seconds: float, is_finite: bool) -> Finding:
    if is_finite:
        return _timed("decoding", seconds, "; finite")
    return Finding("decoding", "the VAE's values are not finite (NaN)", "problem", _DAMAGED)


def _picture(base: DiffusionModel, decoding: float) -> Finding:
    """A picture of few steps: is anything to be seen?"""
    sampler = base.sampler
    steps = min(FEW_STEPS, sampler.steps)
    _forget_peak(base)
    pipeline = base.pipeline()  # imports what is needed
    seconds, values = _clocked(lambda: _generate(base, pipeline, steps))
    whole = decoding + sampler.steps * max(0.0, seconds - decoding) / steps
    numbers = {"seconds": seconds, "steps": float(steps), "usual_seconds": whole}
    text = (
        f"{seconds_text(seconds)} in {steps} steps of {sampler.name}, "
        f"about {seconds_text(whole)} in its usual {sampler.steps}"
    )
    if base.device.type == "cuda":
        numbers["peak_bytes"] = float(peak_bytes(base))
        text += f"; at most {gigabytes(numbers['peak_bytes'])} of GPU memory"
    if not np.isfinite(values).all():
        return Finding("picture", "its values are not finite (NaN)", "problem", _DAMAGED, numbers)
    if values.std(axis=(0, 1)).max() < _CONSTANT:
        return Finding("picture", "it is all of one colour", "problem", _DAMAGED, numbers)
    return Finding("picture", f"{text}; finite, and not of one colour", numbers=numbers)


@torch.no_grad()
def _generate(base: DiffusionModel, pipeline: Any, steps: int) -> np.ndarray:
    """A picture [H, W, 3] in [0, 1], NaN where it is."""
    made = pipeline(
        prompt=[PROMPT],
        num_inference_steps=steps,
        **base.sampling(base.sampler.guidance_scale, [""]),
        width=base.native_pixels, height=base.native_pixels,
        generator=[torch.Generator().manual_seed(0)],
        output_type="np",
    )  # fmt: skip
    return np.asarray(made.images[0])
