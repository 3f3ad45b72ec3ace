"""Whether torch.compile pays for itself in a run: measured once, and off unless it surely does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter

import torch

from packshot import lora
from packshot.decisions import Decisions, Scalar, Value
from packshot.models.compiled_blocks import compiled_blocks, missing_compiler
from packshot.models.device_memory import attempt
from packshot.models.diffusion_model import DiffusionModel
from packshot.plan.calibration import (
    as_in_training,
    blank_latents,
    machine,
    median_seconds,
    random_batch,
    reader,
    train_step,
)
from packshot.types import TargetModules

MARGIN = 1.5
"""What compiling saves must be so many times what it costs."""
MOST_SAVED = 0.4
"""The share of a step that compiling may save at best."""
LEAST_TO_COMPILE = 20.0
"""Seconds that compiling for one shape takes at least."""
TRIAL_SECONDS = 180.0
"""Time that must be left of a budget to try it."""


@dataclass(frozen=True)
class CompileCost:
    """Seconds of a forward and backward pass, plain and compiled, and of compiling for one shape."""

    plain_seconds: float
    compiled_seconds: float
    compile_seconds: float


@dataclass(frozen=True)
class CompileGain:
    """Whether a run compiles, and why; the seconds that it saves in a step, and in all."""

    is_on: bool
    why: str
    step_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class CompileCase:
    """What would be compiled: the settings of a step of a run, how many of them, and their shapes."""

    pixels: int
    targets: TargetModules
    rank: int
    at_once: int
    accumulation: int
    checkpointing: bool
    text_rank: int
    steps: int
    step_seconds: float
    shapes: int
    """Each is compiled by itself: buckets x images at once."""


def choose_compile(
    base: DiffusionModel,
    decisions: Decisions,
    case: CompileCase,
    *,
    spare_seconds: float = float("inf"),
    anew: bool = False,
) -> CompileGain:
    """Whether compiling saves more than it costs in this run, by trying it where that may be.

    Args:
        spare_seconds: what a time budget leaves over.
        anew: measure again.
    """
    if base.weight_storage != "full":
        return CompileGain(False, "for bases whose weights are stored in full")
    if base.device.type != "cuda":
        return CompileGain(
            False, "off on a CPU, where compiling takes long; true compiles all the same"
        )
    if lacks := missing_compiler(base.device):
        return CompileGain(False, f"off: {lacks}")
    whole = case.steps * case.step_seconds
    if (
        MOST_SAVED * whole < MARGIN * LEAST_TO_COMPILE * case.shapes
        or spare_seconds < TRIAL_SECONDS
    ):
        return CompileGain(False, "off: the run is too short for compiling to pay")
    return gain_of(_cost(base, decisions, case, anew), case)


def gain_of(cost: CompileCost, case: CompileCase) -> CompileGain:
    """What the run saves by measured times; on only if that is clearly more than compiling costs."""
    each = case.accumulation * (cost.plain_seconds - cost.compiled_seconds)
    saved, spent = case.steps * each, case.shapes * cost.compile_seconds
    if saved <= MARGIN * spent or cost.compiled_seconds <= 0:
        return CompileGain(
            False, f"off: it would save {max(0.0, saved):.0f} s and cost {spent:.0f} s"
        )
    return CompileGain(
        True, f"saves about {saved:.0f} s of steps and costs {spent:.0f} s", each, saved - spent
    )


def _cost(base: DiffusionModel, decisions: Decisions, case: CompileCase, anew: bool) -> CompileCost:
    """Measured once per setting; where compiling fails, it takes forever."""

    def measure() -> tuple[Value, str]:
        cost, why = measure_compiling(base, case)
        return asdict(cost), why

    because: dict[str, Scalar] = machine(base) | {
        "pixels": case.pixels, "targets": case.targets, "rank": case.rank, "at_once": case.at_once,
        "checkpointing": case.checkpointing, "text_rank": case.text_rank,
        "torch": torch.__version__,
    }  # fmt: skip
    return CompileCost(**decisions.settle("compile_cost", because, measure, anew=anew).value)


_FAILED = CompileCost(0.0, 0.0, 0.0)


def measure_compiling(base: DiffusionModel, case: CompileCase) -> tuple[CompileCost, str]:
    """Time a step with and without compiled blocks; `_FAILED` if it cannot be compiled, with the reason."""
    with torch.no_grad():
        latents = blank_latents(base, case.pixels)
    adapted = lora.add_adapters(
        base, case.targets, rank=case.rank, alpha=case.rank, seed=0, text_rank=case.text_rank
    )
    with (
        as_in_training(base, learns_text=bool(case.text_rank)),
        adapted as adapter,
        base.gradient_checkpointing(case.checkpointing),
    ):
        batch = random_batch(base, latents, case.at_once)
        parameters = list(adapter.named_parameters().values())
        optimizer = torch.optim.AdamW(parameters, lr=0.0, fused=True)
        step = partial(train_step, base, batch, optimizer, reader(base, case.text_rank))
        plain = median_seconds(base, step)
        with compiled_blocks(base.denoiser) as compilation:

            def compiled_times() -> tuple[float, float]:
                started = perf_counter()
                step()
                if base.device.type == "cuda":
                    torch.cuda.synchronize(base.device)
                return perf_counter() - started, median_seconds(base, step)

            try:
                times = attempt(base.device, compiled_times)
            except RuntimeError as error:
                if compilation.fault_of(error) is None:
                    raise
                times = None
    if not times:
        return _FAILED, "torch.compile failed, or memory gave out"
    first, compiled = times
    cost = CompileCost(plain, compiled, max(0.0, first - compiled))
    return cost, f"{plain:.3g} s a step, {compiled:.3g} s compiled in {first:.3g} s; measured"
