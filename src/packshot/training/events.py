"""The events of a training run, consumed by progress bars, logs and reports."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter

from packshot.errors import UnsafePathError
from packshot.utils import files, pathnames, reading


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
class CompileFailed:
    """The plan asks for torch.compile, which does not work: after `step` it goes on without, slower."""

    step: int
    reason: str


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
class StepSkipped:
    """A step in fp16 whose gradients were not finite: nothing was learnt, and the scale was halved.

    `in_a_row` counts it and those just before it.
    """

    step: int
    steps: int
    loss_scale: float
    in_a_row: int


@dataclass(frozen=True)
class Sample:
    """Images generated with the LoRA after `step` steps."""

    step: int
    prompts: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Evaluated:
    """The loss of the held-out examples after `step` steps; see `packshot.training.convergence`.

    `variance_share` is None while there are too few evaluations; `is_done` says that training ends here.
    """

    step: int
    loss: float
    variance_share: float | None
    is_done: bool


@dataclass(frozen=True)
class WentOn:
    """A run that had ended after `step` steps goes on to the plan's last."""

    step: int


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


Event = (
    CachingLatents
    | Resumed
    | CompileFailed
    | Step
    | StepSkipped
    | Evaluated
    | WentOn
    | Sample
    | StateSaved
    | Stopped
    | Done
)


_LOG = "events.jsonl"
_KINDS: dict[str, TypeAdapter[Event]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): TypeAdapter(kind)
    for kind in get_args(Event)
}


def log_of(run_folder: Path) -> Path:
    """The log of a run's events, one JSON line each."""
    return run_folder / _LOG


def as_record(event: Event, run_folder: Path) -> dict[str, Any]:
    """An event as one JSON-able line of the log.

    Paths are relative to the run folder; of files outside it the name alone is kept, since a project
    is shared, and where it lies on this machine is nobody's business.
    """
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    values = {"kind": kind} | asdict(event)

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            inside = value.is_relative_to(run_folder)
            return value.relative_to(run_folder).as_posix() if inside else value.name
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return {name: plain(value) for name, value in values.items()}


def read_events(run_folder: Path) -> list[Event]:
    """The events in a run's log, their files in the run folder.

    A line that is no event is skipped, and one that names a file outside the run folder.
    """
    events = []
    for line in reading.read_json_lines(log_of(run_folder)):
        kind = line.get("kind") if isinstance(line, dict) else None
        if isinstance(kind, str) and kind in _KINDS:
            with suppress(ValueError, UnsafePathError):  # pydantic's are ValueErrors
                told = {name: value for name, value in line.items() if name != "kind"}
                events.append(_within(run_folder, _KINDS[kind].validate_python(told)))
    return events


def _within(run_folder: Path, event: Event) -> Event:
    if not isinstance(event, Sample):
        return event
    places = tuple(pathnames.safe_join(run_folder, str(file)) for file in event.files)
    return replace(event, files=places)


def rewind_log(run: Path, step: int) -> None:
    """Drop the lines logged after the saved state: those steps will be repeated.

    That the run was told to go on stays, even if it is taken up from before where it had ended.
    """
    kept = (
        event
        for event in read_events(run)
        if isinstance(event, WentOn) or getattr(event, "step", 0) <= step
    )
    files.write_json_lines(log_of(run), (as_record(event, run) for event in kept))
