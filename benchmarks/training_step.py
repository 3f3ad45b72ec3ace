"""What a LoRA training step costs, against its floor and against plain diffusers + peft.

The floor is two forward passes: a frozen layer's backward needs the gradient of its input, as much
arithmetic as its forward, but none of its weights. Rows are measured in turns within one run, and
reported as ratios, so that a busy machine slows all of them alike.

    python -m benchmarks.training_step [--shape sd15|pocket|all] [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from packshot.lora import inject_lora
from packshot.models import load_base
from packshot.models.families.stable_diffusion import attention_for, lora_target_names

RANK = 8
Work = Callable[[], None]


@dataclass(frozen=True)
class Shape:
    """A denoiser with inputs of one size."""

    name: str
    make: Callable[[], torch.nn.Module]
    latents: tuple[int, int, int, int]
    context: tuple[int, int, int]


def sd15() -> torch.nn.Module:
    """A UNet of Stable Diffusion 1.5's shape, randomly initialised: 860 M parameters in bf16."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    unet = unet.to_empty(device="cpu").to(torch.bfloat16)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.normal_(0, 0.02, generator=generator)
    return unet


def shapes(wanted: str) -> Iterator[Shape]:
    if wanted in ("sd15", "all"):
        yield Shape("SD 1.5, 256 px, batch 1", sd15, (1, 4, 32, 32), (1, 77, 768))
    if wanted in ("pocket", "all"):
        base = load_base("pocket", device="cpu", dtype=torch.bfloat16)
        config: Any = base.denoiser.config
        side = config.sample_size
        for batch in (1, 8):
            yield Shape(
                f"pocket, {base.native_pixels} px, batch {batch}",
                lambda: base.denoiser,
                (batch, config.in_channels, side, side),
                (batch, 77, config.cross_attention_dim),
            )


def inputs(shape: Shape) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(1)

    def draw(size: tuple[int, ...]) -> Tensor:
        return torch.randn(size, generator=generator)

    return SimpleNamespace(
        latents=draw(shape.latents).to(memory_format=torch.channels_last),
        context=draw(shape.context).to(torch.bfloat16),
        target=draw(shape.latents),
        timesteps=torch.full((shape.latents[0],), 500),
    )


def predict(unet: torch.nn.Module, given: SimpleNamespace) -> Tensor:
    return unet(
        given.latents.to(torch.bfloat16), given.timesteps, given.context, return_dict=False
    )[0]


def step(unet: torch.nn.Module, given: SimpleNamespace, optimizer: torch.optim.Optimizer) -> None:
    loss = (predict(unet, given).float() - given.target).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextmanager
def ours(unet: torch.nn.Module, given: SimpleNamespace) -> Iterator[Work]:
    names = lora_target_names(unet, "attention+mlp")
    with inject_lora(unet, names, rank=RANK, alpha=RANK, seed=0) as adapter:
        parameters = list(adapter.named_parameters().values())
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

        def work() -> None:
            with attention_for(given.latents):
                step(unet, given, optimizer)

        yield work


@contextmanager
def plain_peft(unet: Any, given: SimpleNamespace) -> Iterator[Work]:
    """diffusers' example trainer: peft LoRA in fp32 on a bf16 model, under autocast."""
    from peft import LoraConfig

    names = lora_target_names(unet, "attention+mlp")
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=names))
    parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            step(unet, given, optimizer)

    yield work
    unet.unload_lora()


def seconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(shape: Shape, rounds: int) -> dict[str, float]:
    """Median seconds of a forward, our step and peft's, measured in turns."""
    unet: Any = shape.make().requires_grad_(False)
    unet.to(memory_format=torch.channels_last)
    given = inputs(shape)

    @torch.no_grad()
    def forward() -> None:
        with attention_for(given.latents):
            predict(unet, given)

    times: dict[str, list[float]] = {"forward": [], "packshot step": [], "peft step": []}
    for round_number in range(rounds + 1):
        taken = {"forward": seconds(forward)}
        for name, method in (("packshot step", ours), ("peft step", plain_peft)):
            with method(unet, given) as work:
                work()
                taken[name] = seconds(work)
        if round_number:
            for name, value in taken.items():
                times[name].append(value)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=("sd15", "pocket", "all"), default="all")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, rank {RANK}, attention+mlp, bf16"
    )
    for shape in shapes(options.shape):
        median = measure(shape, options.rounds)
        floor = 2 * median["forward"]
        print(f"\n{shape.name}")
        for name, value in median.items():
            print(f"  {name:14} {value * 1000:9.1f} ms   {value / floor:5.2f} x two forwards")


if __name__ == "__main__":
    main()
