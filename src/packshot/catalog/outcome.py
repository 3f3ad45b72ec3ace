"""What came of one product, and where it lies in the catalogue's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from packshot.catalog.table import Product
from packshot.generation.scores import read_scores
from packshot.insertion.record import read_records
from packshot.judging.intervals import interval
from packshot.project import Project
from packshot.utils import hashing, pathnames

State = Literal["waiting", "making", "done", "failed", "stopped", "elsewhere", "aside"]
"""Elsewhere: another start of the catalogue is at it. Aside: somebody has said not to make it."""


PRODUCTS = "products"
"""The folder of the products' projects."""


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
    likeness_interval: tuple[float, float] | None = None
    """In which it lies at 95 %, by its pictures; None where there are too few."""
    drift: float | None = None
    failed_checks: tuple[str, ...] = ()
    """Of the insertions, with their files: "snow.png: mask"."""
    lacked_memory: bool = False
    """Whether it failed for want of memory, which others may give back in minutes."""
    mark: str = ""
    """Tells this result from one that is made anew; empty where nothing was made."""

    def facts(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return asdict(self)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Outcome:
        """The outcome whose `facts` these are."""
        between = facts.get("likeness_interval")
        return cls(
            **{
                **facts,
                "failed_checks": tuple(facts["failed_checks"]),
                "likeness_interval": between and (between[0], between[1]),
            }
        )


def project_of(out: Path, product: Product) -> Project:
    """The project of a product: a folder of its own."""
    return Project(pathnames.safe_join(out, f"{PRODUCTS}/{product.id}"))


def log_of(out: Path, id: str) -> Path:
    """What was said while a product was made."""
    return pathnames.safe_join(out, f"logs/{id}.log")


def thumbnail_of(out: Path, id: str) -> Path:
    """A small picture of what was made."""
    return pathnames.safe_join(out, f"thumbnails/{id}.jpg")


def figures(project: Project) -> dict[str, Any]:
    """What a finished project measured, as fields of an `Outcome`."""
    scores = {score.name: score for score in read_scores(project)}
    likeness, drift = scores.get("likeness with the LoRA"), scores.get("class drift")
    missed = [
        f"{record.file}: {check.name}"
        for record in read_records(project.insertions_folder)
        for check in record.missed
    ]
    return {
        "likeness": likeness and likeness.value,
        "likeness_interval": likeness and _between(likeness.values),
        "drift": drift and drift.value,
        "failed_checks": tuple(missed),
        "mark": _mark(project),
    }


def _between(values: Sequence[float]) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    found = interval(values)
    return round(found.low, 4), round(found.high, 4)


def _mark(project: Project) -> str:
    """A hash of what was planned, and of what was measured of all that was made."""
    records = [project.plan_file, project.scores_file, *project.insertions_folder.glob("*.json")]
    found = {path.name: hashing.sha256(path) for path in sorted(records) if path.is_file()}
    return hashing.fingerprint(found)[:16]
