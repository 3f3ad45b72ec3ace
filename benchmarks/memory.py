"""What a training step takes of memory, against what was predicted from shapes alone.

Each row is measured on the CPU in a process of its own, on a full-size denoiser with random weights,
one picture at a time; benchmarks/gpu does it on a GPU. On a CPU glibc's heap keeps holes of up to
32 MB, which in SDXL at 1024 px take another 2.4 GB; here it is told to give back what is larger than
256 kB (MALLOC_MMAP_THRESHOLD_), as one can in any run of one's own.

    python -m benchmarks.memory [--only sd1] [--dtype float32]

CPUs that do not compute in bf16 take very long for rows in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from packshot.lora import inject_lora
from packshot.models import registry
from packshot.models.fake import default_checkpoint
from packshot.models.loss import Batch, per_image_loss
from packshot.plan.memory_estimate import estimate_memory
from packshot.types import TargetModules

TARGETS: TargetModules = "attention+mlp"
RANK = 16


@dataclass(frozen=True)
class Row:
    """What is measured."""

    family: str
    pixels: int
    checkpointing: bool
    dtype: str = "bfloat16"


ROWS = (
    Row("sd1", 512, False),
    Row("sd1", 512, False, "float32"),
    Row("sd1", 512, True),
    Row("sd1", 512, True, "float32"),
    Row("sdxl", 512, False),
    Row("sdxl", 512, True),
    Row("sdxl", 512, True, "float32"),
    Row("sdxl", 1024, True),
)


def used() -> int:
    """The most bytes that this process has taken so far."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if "VmHWM" in line))


def measured(row: Row) -> int:
    """Bytes of a real step on random weights, over what the process had before."""
    device, dtype = torch.device("cpu"), getattr(torch, row.dtype)
    drawn = replace(default_checkpoint(row.family), shapes_only=True)
    base = registry.families()[row.family].model(drawn, device, dtype)
    before = used()
    for name, weight in base.denoiser.state_dict().items():
        base.denoiser.load_state_dict(
            {name: torch.full(weight.shape, 1e-3, dtype=dtype)}, strict=False, assign=True
        )
    base.denoiser.requires_grad_(False)
    channels = base.vae.config.latent_channels
    latents = torch.zeros(1, channels, *[row.pixels // base.vae_factor] * 2)
    times = base.schedule.timesteps_at(torch.full((1,), 0.5), latents[0, 0].numel())
    ones = torch.ones(1, 1, *latents.shape[-2:])
    batch = Batch(latents, latents + 1, times, base.empty_conditioning(1), ones, torch.ones(1))
    names = base.lora_targets(TARGETS)
    with (
        inject_lora(base.denoiser, names, rank=RANK, alpha=RANK, seed=0) as adapter,
        base.gradient_checkpointing(row.checkpointing),
    ):
        adamw = torch.optim.AdamW(adapter.named_parameters().values(), fused=True)
        for _ in range(2):
            per_image_loss(base, batch, 0.0).mean().backward()
            adamw.step()
            adamw.zero_grad(set_to_none=True)
    return used() - before


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="rows of this family")
    parser.add_argument("--dtype", help="rows in this, bfloat16 or float32")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(measured(Row(**json.loads(options.row))))
        return
    print(f"{'denoiser':38}{'predicted':>12}{'measured':>12}{'off by':>9}")
    for row in ROWS:
        if options.only not in (None, row.family) or options.dtype not in (None, row.dtype):
            continue
        demand = estimate_memory(
            default_checkpoint(row.family), targets=TARGETS, rank=RANK, pixels=row.pixels,
            dtype=getattr(torch, row.dtype),
        )  # fmt: skip
        said = next(
            w.bytes
            for w in demand.ways
            if w.storage == "full" and w.checkpointing is row.checkpointing
        )
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", "--row", json.dumps(vars(row))],
            check=True, capture_output=True, text=True,
            env=os.environ | {"MALLOC_MMAP_THRESHOLD_": str(256 * 1024)},
        )  # fmt: skip
        found = int(told.stdout.split()[-1])
        name = f"{row.family} {row.pixels} px {row.dtype}" + " twice" * row.checkpointing
        print(f"{name:38}{said / 1e9:9.2f} GB{found / 1e9:9.2f} GB{said / found - 1:+9.0%}")


if __name__ == "__main__":
    main()
