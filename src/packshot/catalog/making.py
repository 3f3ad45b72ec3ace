"""Making one product of a catalogue: exactly what `packshot run` does, and what came of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from packshot.catalog import photos
from packshot.catalog.table import Product
from packshot.errors import (
    DiskFullError,
    InsufficientMemoryError,
    InUseError,
    PackshotError,
    reason_of,
)
from packshot.generation.scores import read_scores
from packshot.insertion.record import read_records
from packshot.project import Project
from packshot.utils import files
from packshot.utils.durations import in_words
from packshot.workflow import end_to_end
from packshot.workflow.observer import RunObserver

_MAY_PASS = (DiskFullError, InUseError, InsufficientMemoryError)
"""Faults that are not the product's: another try may end otherwise."""
State = Literal["waiting", "making", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Outcome:
    """What came of one product; figures are None where nothing measured them."""

    id: str
    state: State = "waiting"
    seconds: float = 0.0
    """Of this start alone: next to nothing where all stood already."""
    was_complete: bool = False
    tries: int = 0
    fault: str = ""
    """Why it failed, in a line."""
    is_users: bool = False
    """Whether another try would fail alike: the photos or settings are at fault, not the machine."""
    likeness: float | None = None
    drift: float | None = None
    failed_checks: tuple[str, ...] = ()
    """Of the insertions, with their files: "snow.png: mask"."""

    def facts(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return asdict(self)


def project_of(out: Path, product: Product) -> Project:
    """The project of a product: a folder of its own."""
    return Project(files.safe_join(out, f"products/{product.id}"))


def log_of(out: Path, product: Product) -> Path:
    """What was said while the product was made."""
    return files.safe_join(out, f"logs/{product.id}.log")


def make(product: Product, out: Path, should_stop: Callable[[], bool] = lambda: False) -> Outcome:
    """Make one product to its end, or go on with it; whatever fails is told in the outcome.

    Everything that is said goes to the product's log.
    """
    begun = time.monotonic()
    project, observer = project_of(out, product), _Log(log_of(out, product), should_stop)
    outcome = Outcome(product.id)
    try:
        result = end_to_end.run(
            photos.at_hand(product.photos, files.safe_join(out, f"downloads/{product.id}")),
            root=project.root, name=product.subject.name, class_noun=product.subject.class_noun,
            trigger=product.subject.trigger, choices=product.choices, observer=observer,
        )  # fmt: skip
        state: State = "stopped" if result.stopped else "done"
        outcome = Outcome(product.id, state, was_complete=result.was_complete, **figures(project))
    except PackshotError as error:
        observer.say(str(error))
        is_users = not isinstance(error, _MAY_PASS)
        outcome = Outcome(product.id, "failed", fault=str(error), is_users=is_users)
    except Exception as error:  # one product's, whatever it is: the others go on
        observer.say(traceback.format_exc())
        outcome = Outcome(product.id, "failed", fault=reason_of(error))
    took = time.monotonic() - begun
    observer.say(f"{outcome.state} after {in_words(took)}")
    return Outcome(**{**asdict(outcome), "seconds": round(took, 1)})


def figures(project: Project) -> dict[str, Any]:
    """What a finished project measured, as fields of an `Outcome`."""
    scores = {score.name: score.value for score in read_scores(project)}
    missed = [
        f"{record.file}: {check.name}"
        for record in read_records(project.insertions_folder)
        for check in record.missed
    ]
    return {
        "likeness": scores.get("likeness with the LoRA"),
        "drift": scores.get("class drift"),
        "failed_checks": tuple(missed),
    }


class _Log(RunObserver):
    """Appends what is said, with the time, to a file; asks nothing."""

    def __init__(self, path: Path, should_stop: Callable[[], bool]) -> None:
        self._path, self._should_stop = path, should_stop
        path.parent.mkdir(parents=True, exist_ok=True)

    def say(self, text: str) -> None:
        """Append a line."""
        files.append_line(self._path, f"{datetime.now().isoformat(timespec='seconds')} {text}")

    def progress(self, what: str, done: int, total: int) -> None:
        """Append what is done; what is under way is in the project."""
        if done == total:
            self.say(f"{what}: {total}")

    def refused(self, refused: dict[str, str]) -> None:
        """Append each refused photo."""
        for name, reason in refused.items():
            self.say(f"refused {name}: {reason}")

    def should_stop(self) -> bool:
        """Whether training shall stop, with its state saved."""
        return self._should_stop()
