"""What came of one product, and where it lies in the catalogue's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from packshot.catalog.table import Product
from packshot.generation.scores import read_scores
from packshot.insertion.record import read_records
from packshot.project import Project
from packshot.utils import files

State = Literal["waiting", "making", "done", "failed", "stopped", "elsewhere"]
"""Elsewhere: another start of the catalogue is at it."""


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

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Outcome:
        """The outcome whose `facts` these are."""
        return cls(**{**facts, "failed_checks": tuple(facts["failed_checks"])})


def project_of(out: Path, product: Product) -> Project:
    """The project of a product: a folder of its own."""
    return Project(files.safe_join(out, f"products/{product.id}"))


def log_of(out: Path, product: Product) -> Path:
    """What was said while the product was made."""
    return files.safe_join(out, f"logs/{product.id}.log")


def thumbnail_of(out: Path, product: Product) -> Path:
    """A small picture of what was made."""
    return files.safe_join(out, f"thumbnails/{product.id}.jpg")


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
