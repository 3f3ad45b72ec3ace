"""The JSON record beside an insertion: how it was made, and what was measured of it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from packshot.project import Project
from packshot.utils import hashing, pathnames, reading

if TYPE_CHECKING:
    from packshot.insertion.quality_checks import Check

SHEET_ENDING = ".sheet.png"
_REMOVED = "removed"


class CheckRecord(BaseModel):
    """A `Check` and whether it held."""

    model_config = ConfigDict(frozen=True)
    name: str
    value: float | None
    limits: tuple[float | None, float | None]
    meaning: str
    passed: bool

    @classmethod
    def of(cls, check: Check) -> CheckRecord:
        """The record of a check."""
        return cls(
            name=check.name, value=check.value, limits=check.limits,
            meaning=check.meaning, passed=check.passed,
        )  # fmt: skip


class InsertionRecord(BaseModel):
    """How an insertion was made.

    Attributes:
        file: the image's name, beside the record.
        background_file: where the background was read from; None if it was not a file.
        photo: the name of the photo that was cut out; empty if the product was painted.
        box: the product's place in the background: left, top, width, height in pixels.
        light: a `Light`.
        horizon: pixels from the background's top.
        watermark: what its pixels say, as 8 hexadecimal digits; empty if nothing.
        camera: how the place and the photo are seen, in degrees, and how sure that is.
    """

    model_config = ConfigDict(frozen=True)
    file: str
    background: str
    background_file: Path | None = None
    background_sha256: str | None = None
    photo: str
    seed: int
    box: dict[str, int]
    light: dict[str, Any]
    horizon: float
    watermark: str = ""
    camera: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    checks: tuple[CheckRecord, ...]

    @property
    def identifier(self) -> str:
        """What leads from a watermark to this record: a hash of how it was made."""
        made = self.model_dump(mode="json", exclude={"background_file", "watermark"})
        return hashing.fingerprint(made)[:8]

    @property
    def missed(self) -> list[CheckRecord]:
        """The checks that did not hold."""
        return [check for check in self.checks if not check.passed]

    def background_as_it_was(self) -> Path | None:
        """The background's file, if it is still there unchanged."""
        file = self.background_file
        if file is None or not pathnames.is_file(file):
            return None
        return file if hashing.known_sha256(file) == self.background_sha256 else None


def read_records(folder: Path) -> list[InsertionRecord]:
    """The records of a folder whose images are there, by name; what is no record is passed over."""
    records = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            record = InsertionRecord.model_validate(reading.read_json(path))
        except ValidationError:
            continue
        if record.file == f"{path.stem}.png" and pathnames.is_file(folder / record.file):
            records.append(record)
    return records


def results_of(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """The files of an insertion: the image, its sheet and its record."""
    return folder / f"{name}.png", folder / f"{name}{SHEET_ENDING}", folder / f"{name}.json"


def free_name(folder: Path, stem: str, given: Collection[str] = ()) -> str:
    """A name for results that none have yet, nor those that were taken out: the stem, or numbered.

    Args:
        given: names of results that are still to be made.
    """
    numbered = (f"{stem}-{number}" for number in itertools.count(2))
    names = (name for name in itertools.chain((stem,), numbered) if name not in given)
    return next(name for name in names if not _is_taken(folder, name))


def _is_taken(folder: Path, name: str) -> bool:
    places = (folder, folder / _REMOVED)
    return any(pathnames.exists(file) for place in places for file in results_of(place, name))


def remove_insertions(project: Project, names: Sequence[str]) -> list[str]:
    """Take insertions out of a project, with their sheets and records; `restore_insertions` undoes it.

    Args:
        names: of their images, such as "beach.png".

    Returns:
        The names of those that were there.
    """
    folder = project.insertions_folder
    return _move(project, names, folder, folder / _REMOVED)


def restore_insertions(project: Project, names: Sequence[str]) -> list[str]:
    """Undo `remove_insertions`, likewise."""
    folder = project.insertions_folder
    return _move(project, names, folder / _REMOVED, folder)


def _move(project: Project, names: Sequence[str], source: Path, target: Path) -> list[str]:
    with project.held():
        known = {record.file for record in read_records(source)}
        there = [name for name in names if name in known and not pathnames.exists(target / name)]
        for name in there:
            parts = zip(
                *(results_of(place, Path(name).stem) for place in (source, target)), strict=True
            )
            for old, new in parts:
                if pathnames.is_file(old):
                    new.parent.mkdir(parents=True, exist_ok=True)
                    old.replace(new)
        return there


def is_of_another(folder: Path, name: str, background: Path) -> bool:
    """Whether results of this name are an insertion into another background, by its record."""
    record = reading.read_json(results_of(folder, name)[-1])
    made_in = record.get("background_sha256") if isinstance(record, dict) else None
    return made_in is not None and made_in != hashing.known_sha256(background)
