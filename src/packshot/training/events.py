"""The events of a training run, consumed by progress bars, logs and reports."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CachingLatents:
    """Latents and prompt embeddings are being computed, `done` of `total` images."""

    done: int
    total: int


@dataclass(frozen=True)
class Resumed:
    """The run resumes after `step` saved steps; `note` says if a saved state was damaged."""

    step: int
    note: str = ""


@dataclass(frozen=True)
class Step:
    """One optimizer step is done. Losses are weighted means; None if the batch had no such image."""

    step: int
    steps: int
    loss: float
    instance_loss: float | None
    class_loss: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Sample:
    """Images generated with the LoRA after `step` steps."""

    step: int
    prompts: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class StateSaved:
    """The training state was saved and verified."""

    step: int
    folder: Path


@dataclass(frozen=True)
class Stopped:
    """The run stopped on request; it resumes from here when started again."""

    step: int


@dataclass(frozen=True)
class Done:
    """The LoRA files are written. `seconds` spans this process's part of the run."""

    step: int
    seconds: float
    peak_bytes: int
    lora_file: Path
    diffusers_lora_file: Path
    lora_sha256: tuple[str, str] = ("", "")


Event = CachingLatents | Resumed | Step | Sample | StateSaved | Stopped | Done


def as_record(event: Event, run_folder: Path) -> dict[str, Any]:
    """An event as one JSON-able line of events.jsonl, paths relative to the run folder if inside it."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    values = {"kind": kind} | asdict(event)

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value.relative_to(run_folder) if value.is_relative_to(run_folder) else value)
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return {name: plain(value) for name, value in values.items()}
