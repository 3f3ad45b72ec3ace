"""Parts of the benchmark that train: steps beside the plain loop, what a step consists of, memory,
ways of storing the base, and resuming."""

from __future__ import annotations

import math
import re
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.plain_loop import plain_loop
from packshot import lora, train
from packshot.models.device_memory import attempt, device_name
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import per_image_loss
from packshot.plan import gpu_fit
from packshot.plan.calibration import calibrate
from packshot.plan.config import Plan, write_plan
from packshot.plan.memory_estimate import estimate_memory
from packshot.plan.step_memory import trace_step
from packshot.project import Project
from packshot.training import Done, Resumed, Step
from packshot.training.dataset import TrainingSet
from packshot.training.optimizer import Optimizer
from packshot.training.step import take_step
from packshot.types import WeightStorage
from packshot.utils import reading

Result = dict[str, Any]
BATCH = {"sd1": 4, "sdxl": 2, "flux1": 1}
"""Images of a step, all in one micro-batch."""
ROUNDS = {"full": 5, "small": 1}
NOT_ENOUGH = "memory does not suffice"


@contextmanager
def our_loop(base: DiffusionModel, plan: Plan, data: TrainingSet) -> Iterator[Callable[[], float]]:
    """A function that does a step of Packshot\'s training loop and returns its loss."""
    adapted = lora.add_adapters(
        base, plan.target_modules, rank=plan.rank, alpha=plan.alpha, seed=plan.seed
    )
    with adapted as adapter, base.gradient_checkpointing(plan.gradient_checkpointing):
        optimizer = Optimizer(adapter, plan)

        def step() -> float:
            done = take_step(base, plan, data, optimizer, optimizer.step + 1)
            return done.loss if isinstance(done, Step) else math.nan  # skipped, in fp16

        yield step


def steps(bench: Bench, family: str, checkpointing: bool) -> Result:
    """The seconds of a step, of Packshot's loop and of the plain one, measured in turns."""
    base = bench.base(family)
    plan = bench.plan(base, BATCH[family], gradient_checkpointing=checkpointing)
    data = bench.data(base, plan)
    measured = partial(_in_turns, bench, base, plan, data)
    with base.encoders_moved_to(torch.device("cpu")):
        found = attempt(base.device, measured)
    return {"batch": BATCH[family], "pixels": plan.resolution, "rank": plan.rank} | (
        found or {"note": NOT_ENOUGH}
    )


def _in_turns(bench: Bench, base: DiffusionModel, plan: Plan, data: TrainingSet) -> Result:
    batch = data.groups(0, plan.effective_batch_size)[0].batch
    ways = {
        "packshot": lambda: our_loop(base, plan, data),
        "plain": lambda: plain_loop(base, plan, batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peaks: dict[str, Any] = {}
    first: dict[str, float] = {}
    took = 0.0
    for number in range(ROUNDS[bench.size]):
        if number > 1 and bench.seconds_left < 2 * took:
            break
        before = bench.seconds_left
        for name, way in ways.items():
            bench.forget_peak()
            with way() as step:
                first.setdefault(name, step())  # warms up
                each = [bench.seconds(step) for _ in range(3 if bench.size == "full" else 1)]
            seconds[name].append(statistics.median(each))
            peaks[name] = bench.peak()
        took = before - bench.seconds_left if math.isfinite(before) else 0.0
    ratios = [b / a for a, b in zip(seconds["packshot"], seconds["plain"], strict=True)]
    return {
        "packshot_seconds": statistics.median(seconds["packshot"]),
        "plain_seconds": statistics.median(seconds["plain"]),
        "plain_over_packshot": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "rounds": len(ratios),
        "first_loss": first,
        "peak": peaks,
    }


def shares(bench: Bench, family: str) -> Result:
    """What a step consists of, and how much of the device's arithmetic it uses.

    Text and pixels are encoded once, before the first step; what each step would take besides, if
    they were not, stands beside the shares.
    """
    base = bench.base(family)
    plan = bench.plan(base, BATCH[family])
    data = bench.data(base, plan)
    count = plan.effective_batch_size
    prompts = [photos[0].prompt for photos in data.photos[:count]]
    pixels = torch.zeros(1, 3, *[plan.resolution] * 2, device=base.device, dtype=base.dtype)
    with torch.no_grad():
        text = bench.median_seconds(lambda: base.encode_prompts(prompts))
        encoding = count * bench.median_seconds(lambda: base.encode_images(pixels))

    def measure(checkpointing: bool) -> Result:
        settings = plan.model_copy(update={"gradient_checkpointing": checkpointing})
        return _parts_of_a_step(bench, base, settings, data)

    with base.encoders_moved_to(torch.device("cpu")):
        found, twice = attempt(base.device, lambda: measure(False)), False
        if found is None:
            found, twice = attempt(base.device, lambda: measure(True)), True
    if found is None:
        return {"note": NOT_ENOUGH}
    whole = found["seconds"]
    return found | {
        "batch": count,
        "checkpointing": twice,
        "text_if_not_cached": text / whole,
        "pixels_if_not_cached": encoding / whole,
    }


def _parts_of_a_step(bench: Bench, base: DiffusionModel, plan: Plan, data: TrainingSet) -> Result:
    count = plan.effective_batch_size
    parts: dict[str, list[float]] = {
        name: [] for name in ("data", "forward", "backward", "optimizer")
    }
    adapted = lora.add_adapters(
        base, plan.target_modules, rank=plan.rank, alpha=plan.alpha, seed=plan.seed
    )
    with adapted as adapter, base.gradient_checkpointing(plan.gradient_checkpointing):
        optimizer = Optimizer(adapter, plan)
        held: dict[str, Any] = {}

        def read() -> None:
            held["batch"] = data.groups(optimizer.step * count, count)[0].batch

        def forward() -> None:
            held["loss"] = per_image_loss(base, held["batch"], plan.min_snr_gamma).mean()

        def backward() -> None:
            held["loss"].backward()

        def learn() -> None:
            optimizer.clip()
            optimizer.apply(optimizer.step + 1)

        for number in range(6 if bench.size == "full" else 2):
            for name, work in zip(parts, (read, forward, backward, learn), strict=True):
                taken = bench.seconds(work)
                if number:  # the first warms up
                    parts[name].append(taken)
        _, flops = trace_step(base, lambda: held["batch"])
    median = {name: statistics.median(values) for name, values in parts.items()}
    whole = sum(median.values())
    speed = flops / whole
    peak = peak_flops(device_name(base.device))
    return {
        "seconds": whole,
        "shares": {name: value / whole for name, value in median.items()},
        "flops": flops,
        "flops_per_second": speed,
        "share_of_peak": speed / peak if peak and base.dtype == torch.bfloat16 else None,
    }


def peak_flops(device: str) -> float | None:
    """A GPU's operations a second in bf16 by its full name; None where its data sheet is not known.

    Other builds of the same chip (for laptops, with PCIe) are slower, and not meant.
    """
    sheets = reading.read_toml(Path(gpu_fit.__file__).with_name("gpus.toml"))
    for name, (_, teraflops) in sheets.items():
        build = r"( \d+GB HBM\w+|-SXM\S*)?"
        if re.fullmatch(rf"(NVIDIA )?(GeForce )?{re.escape(name)}{build}", device):
            return float(teraflops) * 1e12
    return None


def memory(bench: Bench, family: str) -> Result:
    """What was predicted of a step on one image, by shapes and by a trial step, and what it took."""
    base = bench.base(family)
    plan = bench.plan(base, 1)
    shaped = {
        (way.storage, way.checkpointing): way.bytes
        for way in estimate_memory(
            bench.checkpoint(family), targets=plan.target_modules, rank=plan.rank,
            pixels=plan.resolution, dtype=base.dtype,
        ).ways
    }  # fmt: skip
    rows: Result = {}
    for checkpointing in (False, True):
        bench.forget_peak()
        tried = calibrate(
            base, pixels=plan.resolution, targets=plan.target_modules, rank=plan.rank, batch=1,
            checkpointing=checkpointing,
        )  # fmt: skip
        settings = plan.model_copy(update={"gradient_checkpointing": checkpointing})
        rows["checkpointing" if checkpointing else "plain"] = {
            "predicted_by_shapes": shaped["full", checkpointing],
            "predicted_by_trial": tried.bytes(1) if tried.most_at_once else None,
        } | (_few_steps(bench, base, settings) or {"note": NOT_ENOUGH})
    return {"pixels": plan.resolution, "rows": rows}


def ways(bench: Bench, family: str, storage: WeightStorage) -> Result:
    """Steps on a base that is stored smaller: seconds, memory, and whether it learns."""
    base = bench.base(family, storage)
    plan = bench.plan(base, 1, gradient_checkpointing=True)
    demand = estimate_memory(
        bench.checkpoint(family), targets=plan.target_modules, rank=plan.rank,
        pixels=plan.resolution, dtype=base.dtype,
    )  # fmt: skip
    said = next(way.bytes for way in demand.ways if way.storage == storage)
    found = _few_steps(bench, base, plan) or {"note": NOT_ENOUGH}
    return {"pixels": plan.resolution, "predicted_by_shapes": said} | found


def _few_steps(bench: Bench, base: DiffusionModel, plan: Plan) -> Result | None:
    """A few steps of the loop, with the encoders away; None if memory gives out."""
    data = bench.data(base, plan)

    def measure() -> Result:
        bench.forget_peak()
        with our_loop(base, plan, data) as step:
            losses = [step() for _ in range(2)]
            seconds = [bench.seconds(lambda: losses.append(step())) for _ in range(2)]
        return {
            "seconds": min(seconds),
            "losses_are_finite": all(map(math.isfinite, losses)),
            "peak": bench.peak(),
        }

    with base.encoders_moved_to(torch.device("cpu")):
        return attempt(base.device, measure)


def resume(bench: Bench, family: str) -> Result:
    """Whether a run that is interrupted ends with the same bits as one that is not.

    The same run once more, uninterrupted, tells whether the device computes alike at all.
    """
    base = bench.base(family)
    plan = bench.plan(base, 2, steps=6, save_every_n_steps=3)

    def end(name: str, *interrupt: Callable[[Project], None]) -> dict[str, torch.Tensor]:
        root = bench.work / f"resume-{name}"
        shutil.copytree(bench.project.root, root)
        project = Project(root)
        write_plan(plan, project.plan_file)
        for stop in interrupt:
            stop(project)
        events = list(train(project, base))
        assert isinstance(events[-1], Done)
        assert any(isinstance(event, Resumed) for event in events) == bool(interrupt)
        return load_file(project.lora_file)

    def stop_after_three(project: Project) -> None:
        passed: Counter[str] = Counter()
        for event in train(project, base, should_stop=lambda: passed["steps"] >= 2):
            passed["steps"] += isinstance(event, Step)

    def drop_after_four(project: Project) -> None:
        events = train(project, base)
        next(event for event in events if isinstance(event, Step) and event.step == 4)
        events.close()  # type: ignore[attr-defined]

    whole = end("whole")
    others = {
        "repeated": end("repeated"),
        "stopped after 3": end("stopped", stop_after_three),
        "dropped after 4": end("dropped", drop_after_four),
    }
    difference = {
        name: max((whole[key].float() - other[key].float()).abs().max().item() for key in whole)
        for name, other in others.items()
    }
    is_same = {
        name: all(torch.equal(whole[key], other[key]) for key in whole)
        for name, other in others.items()
    }
    return {"steps": plan.steps, "identical": is_same, "largest_difference": difference}
