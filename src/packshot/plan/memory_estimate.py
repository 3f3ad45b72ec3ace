"""What training takes of memory, told by a checkpoint's shapes before anything of it is loaded.

A step's arithmetic is gone through with fake tensors; `step_memory.py` adds up their sizes. That takes
many seconds for a large network, so what was found is kept in the user's cache folder.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from packshot import lora
from packshot.errors import PackshotError
from packshot.models import best_device, best_dtype
from packshot.models.checkpoint import Checkpoint
from packshot.models.device_memory import OVERHEAD
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.fake import fake_model
from packshot.models.loss import Batch
from packshot.models.weight_storage import weight_bytes
from packshot.plan.step_memory import Tally, step_bytes, trace_step
from packshot.types import TargetModules, WeightStorage
from packshot.utils import caches, files, hashing, reading
from packshot.utils.progress import Progress, silent

MEMORY_OPTIONS: tuple[tuple[WeightStorage, bool], ...] = (
    ("full", False),
    ("full", True),
    ("int8", True),
    ("nf4", True),
    ("offload", True),
)
"""How a base may be stored, and whether its blocks are computed twice, the least harmful first."""


@dataclass(frozen=True)
class MemoryOption:
    """One way of training, a picture at a time."""

    storage: WeightStorage
    checkpointing: bool
    bytes: int
    """At the peak of a step, with everything but the encoders."""
    flops: int
    """Of a step: forwards and backwards."""
    vae_bytes: int = 0
    """While the autoencoder encodes or decodes a picture of the base's own size, in tiles, with nothing
    beside it but what of the denoiser never leaves."""

    @property
    def needed(self) -> int:
        """Without so many bytes a run does not end."""
        return max(self.bytes, self.vae_bytes)

    def __str__(self) -> str:
        return self.storage + ", checkpointing" * (self.checkpointing and self.storage != "offload")


@dataclass(frozen=True)
class MemoryEstimate:
    """What a checkpoint asks of memory for a LoRA on it, at one size of pictures."""

    ways: tuple[MemoryOption, ...]
    encoder_bytes: int
    """Of autoencoder and text encoders, as far as they leave while it learns."""
    parameters: int
    """Of the denoiser."""
    pixels: int
    """The side of the pictures."""

    @property
    def smallest(self) -> MemoryOption:
        """The way that needs least."""
        return min(self.ways, key=lambda way: way.needed)

    def first_that_fits(self, free: float) -> MemoryOption | None:
        """The least harmful way that fits so many bytes."""
        return next((way for way in self.ways if way.needed <= free), None)


def estimate_memory(
    checkpoint: Checkpoint,
    *,
    targets: TargetModules,
    rank: int,
    pixels: int | None = None,
    dtype: torch.dtype | None = None,
    text_encoder: bool = False,
    progress: Progress = silent,
) -> MemoryEstimate:
    """Go through a step of training on one square picture of `pixels` a side, on fake tensors.

    With `text_encoder` the text encoders stay on the device, and learn. What was estimated before
    is read from the cache.

    Raises:
        InvalidPlanError: they are not trained here.
        ModelLoadError: a configuration cannot be read.
    """
    dtype = dtype or best_dtype(torch.device(best_device()), checkpoint.family)
    cached = _cache_file(checkpoint, targets, rank, pixels, str(dtype), text_encoder)
    if (known := _read_estimate(cached)) is not None:
        return known
    estimate = _estimate(checkpoint, targets, rank, pixels, dtype, text_encoder, progress)
    with suppress(PackshotError):  # then it is estimated again
        files.write_json(cached, asdict(estimate))
    return estimate


def _cache_file(checkpoint: Checkpoint, *asked: str | int | None) -> Path:
    """Where the answer to a question lies: of the same networks, to the same versions of libraries."""
    shapes = [
        (name, hashing.sha256(checkpoint.configs / name / "config.json"))
        for name in checkpoint.components
    ]
    versions = [version(name) for name in ("packshot", "torch", "diffusers", "transformers")]
    question = [checkpoint.family, checkpoint.content_hash, shapes, asked, versions]
    return caches.cache_folder() / "memory" / f"{hashing.fingerprint(question)}.json"


def _read_estimate(file: Path) -> MemoryEstimate | None:
    """An estimate that was kept; None where there is none, or it is damaged."""
    try:
        return TypeAdapter(MemoryEstimate).validate_python(reading.read_json(file))
    except ValidationError:
        return None


def _estimate(
    checkpoint: Checkpoint,
    targets: TargetModules,
    rank: int,
    pixels: int | None,
    dtype: torch.dtype,
    text_encoder: bool,
    progress: Progress,
) -> MemoryEstimate:
    """See `estimate_memory`; nothing is read from the cache."""
    progress("memory options", 0, 3)
    with fake_model(checkpoint, dtype) as base:
        progress("memory options", 1, 3)
        side = pixels or base.native_pixels
        text_rank, encoders = rank if text_encoder else 0, _weights(base)
        adapted = lora.add_adapters(
            base, targets, rank=rank, alpha=rank, seed=0, text_rank=text_rank
        )
        steps = {}
        with adapted as adapter:
            count = adapter.parameter_count
            for done, twice in enumerate((False, True), start=2):
                steps[twice] = _step(base, side, twice, text_encoder)
                progress("memory options", done, 3)
        leave = encoders["vae"] if text_encoder else sum(encoders.values())
        stay, ways = sum(encoders.values()) - leave, []
        coding = encoders["vae"] + _vae_bytes(base)
        for storage, twice in MEMORY_OPTIONS:
            weights = weight_bytes(base.denoiser, storage)
            peak, flops = steps[twice]
            needed = step_bytes(int(OVERHEAD * (weights + stay)), count, peak)
            stuck = weights if storage == "offload" else 0
            vae = int(OVERHEAD * (coding + stuck))
            ways.append(MemoryOption(storage, twice, needed, flops, vae))
        return MemoryEstimate(
            tuple(ways),
            leave,
            sum(weight.numel() for weight in base.denoiser.parameters()),
            side,
        )


def _weights(base: DiffusionModel) -> dict[str, int]:
    """Bytes of the autoencoder's and each text encoder's weights."""
    return {n: weight_bytes(net) for n, net in {"vae": base.vae, **base.text_encoders}.items()}


@torch.no_grad()
def _vae_bytes(base: DiffusionModel) -> int:
    """The most bytes that its tensors take together for a picture there and back."""
    picture = torch.zeros(1, 3, base.native_pixels, base.native_pixels, dtype=base.dtype)
    base.vae.enable_tiling()  # as where a whole one does not fit
    with Tally(base.vae.parameters()) as tally:
        base.decode_latents(base.encode_images(picture))
    base.vae.disable_tiling()
    return tally.peak


def _step(base: DiffusionModel, pixels: int, checkpointing: bool, reads: bool) -> tuple[int, int]:
    """The most bytes that a step's own tensors take together, and its operations."""
    latents = base.encode_images(torch.zeros(1, 3, pixels, pixels, dtype=base.dtype)).float()
    times = base.schedule.timesteps_at(torch.full((1,), 0.5), latents[0, 0].numel())
    ones = torch.ones(1, 1, *latents.shape[-2:])
    given = (latents, torch.randn_like(latents), times)
    empty = base.empty_conditioning(1)

    def batch() -> Batch:
        conditioning = base.encode_prompts([""]) if reads else empty
        return Batch(*given, conditioning, ones, torch.ones(1))

    with base.gradient_checkpointing(checkpointing):
        return trace_step(base, batch)
