"""What fits which GPU, told in words before anything of a checkpoint is loaded."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from packshot.errors import InvalidPlanError
from packshot.models import best_device, best_dtype, find_checkpoint, registry
from packshot.models.device_memory import USABLE, free_on
from packshot.models.fake import default_checkpoint
from packshot.plan.memory_estimate import MemoryEstimate, MemoryOption, estimate_memory
from packshot.plan.recipes import recipe_for
from packshot.types import TargetModules
from packshot.utils import reading
from packshot.utils.progress import Progress, silent

EFFICIENCY = 0.4
"""The share of a matrix product's speed that a whole step of a large model reaches."""


@dataclass(frozen=True)
class Place:
    """Where training is thought of: bytes that are free, the dtype there, its operations a second."""

    free: float
    dtype: torch.dtype
    speed: float | None

    @classmethod
    def of(cls, gpu: str | None, memory: str | None) -> Place | None:
        """A GPU by its name, or one with so much memory; None if neither is given.

        Raises:
            InvalidPlanError: it is not known, or `memory` is no size.
        """
        if gpu:
            size, speed = _data_sheet(gpu)
            free = to_bytes(memory) if memory else USABLE * size
            return cls(free, torch.bfloat16, speed)
        if memory:
            return cls(to_bytes(memory), torch.bfloat16, None)
        return None

    @classmethod
    def here(cls, family: str) -> Place:
        """This machine, as a family's bases compute on it."""
        device = torch.device(best_device())
        dtype = best_dtype(device, family)
        return cls(free_on(device), dtype, _measured_speed(device, dtype))


def gpu_fit_text(
    name: str,
    *,
    gpu: str | None = None,
    vram: str | None = None,
    resolution: int | None = None,
    target_modules: TargetModules | None = None,
    rank: int | None = None,
    train_text_encoder: bool = False,
    progress: Progress = silent,
) -> str:
    """What each way of training on a checkpoint takes, and which is the first that fits, in words.

    Args:
        name: as `load_base` takes it, or a family's, such as "sdxl", whose usual size is then meant.
        gpu: one of `gpus.toml`, such as "RTX 4090" or "4090"; by default this machine.
        vram: the GPU's memory, as "16GB"; by default all of it, or what is free here.
        resolution: side of the training images; by default the base's own.
        target_modules: by default the recipe's.
        rank: by default the recipe's.
        train_text_encoder: whether the text encoders learn too.

    Raises:
        InvalidPlanError: the GPU is not known, `vram` is no size, or the text encoders do not learn here.
        ModelLoadError, DiskFullError: as `load_base`.
    """
    elsewhere = Place.of(gpu, vram)  # a wrong one is told before anything is downloaded
    known = name in registry.families()
    checkpoint = (
        default_checkpoint(name) if known else find_checkpoint(name, half=True, progress=progress)
    )
    place = elsewhere or Place.here(checkpoint.family)
    recipe = recipe_for(checkpoint.family, checkpoint.path)
    target_modules, rank = target_modules or recipe.target_modules, rank or recipe.rank
    demand = estimate_memory(
        checkpoint,
        targets=target_modules,
        rank=rank,
        pixels=resolution,
        dtype=place.dtype,
        text_encoder=train_text_encoder,
        progress=progress,
    )
    size = f"({demand.encoder_bytes / 1e9:.1f} GB)"
    away = f"The VAE {size} is" if train_text_encoder else f"VAE and text encoders {size} are"
    lines = [
        f"{checkpoint.name}, {demand.parameters / 1e9:.1f} billion parameters: a LoRA of rank {rank} on "
        f"{target_modules}, at {demand.pixels} x {demand.pixels}, one image at a time",
        *_ways(demand, place),
        f"{away} moved off the GPU before training.",
    ]
    if place.speed:
        lines.append("Seconds are the least that arithmetic takes; packshot plan measures them.")
    return "\n".join(lines)


def _ways(demand: MemoryEstimate, place: Place) -> list[str]:
    first = demand.first_that_fits(place.free)
    lines = [_line(way, place, way is first) for way in demand.ways]
    if first is None:
        lines.append(f"None fits {_gigabytes(place.free)}: {_advice(demand, place)}.")
    return lines


def _advice(demand: MemoryEstimate, place: Place) -> str:
    """What to do where nothing fits: smaller pictures, unless those that are generated are too large."""
    least = demand.smallest
    if least.bytes <= place.free:
        return f"the VAE takes {_gigabytes(least.vae_bytes)} for a picture of the base's own size"
    return "choose smaller pictures (--resolution)"


def _line(way: MemoryOption, place: Place, first: bool) -> str:
    seconds = ""
    if place.speed:
        seconds = f" {way.flops / (EFFICIENCY * place.speed):8.2f} s a picture"
    fits = f"  <- the first that fits {_gigabytes(place.free)}" if first else ""
    return f"  {way!s:22}{way.bytes / 1e9:6.1f} GB{seconds}{fits}"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.0f} GB" if size >= 1e10 else f"{size / 1e9:.2g} GB"


def _data_sheet(gpu: str) -> tuple[float, float]:
    """A GPU's bytes and operations a second.

    Raises:
        InvalidPlanError: no name, or more than one, is like that.
    """
    sheets = reading.read_toml(Path(__file__).with_name("gpus.toml"))
    wanted = _plain(gpu)
    like = [name for name in sheets if _plain(name) == wanted]
    like = like or [name for name in sheets if wanted and wanted in _plain(name)]
    if len(like) != 1:
        raise InvalidPlanError(
            f"--gpu {gpu}: name one of {', '.join(like or sheets)}; of another one, give its --vram."
        )
    gigabytes, teraflops = sheets[like[0]]
    return gigabytes * 2.0**30, teraflops * 1e12


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("nvidia"))


def to_bytes(text: str) -> int:
    """Bytes of "16GB", "16 GiB" or "800MB".

    Raises:
        InvalidPlanError: it is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG])(i?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise InvalidPlanError(f"'{text}' is no size of memory; write it as 16GB.")
    unit = {"m": 2, "g": 3}[found[2].lower()]
    return int(float(found[1]) * (1024 if found[3] else 1000) ** unit)


def _measured_speed(device: torch.device, dtype: torch.dtype) -> float:
    """How fast matrices are multiplied here."""
    side = 4096 if device.type == "cuda" else 1024
    matrix = torch.ones(side, side, device=device, dtype=dtype)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        product = matrix @ matrix
        product[0, 0].item()  # waits for the GPU
        times.append(time.perf_counter() - started)
    return float(2 * side**3 / min(times))
