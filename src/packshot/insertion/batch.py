"""Inserting into many backgrounds: a table of placements; finished results are not redone."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packshot.errors import InsertionError
from packshot.images import sidecars, tables
from packshot.images.sources import picture_files
from packshot.utils import files

_COLUMNS = ("background", "box", "quad", "mask", "at", "view", "name")


@dataclass(frozen=True)
class InsertionJob:
    """One insertion of a batch; empty fields take the command line's values."""

    background: Path
    box: str
    quad: str
    mask: Path | None
    at: str
    view: str
    name: str


def read_jobs(table: Path) -> list[InsertionJob]:
    """The jobs of a folder of backgrounds, or of a table.

    A table is a CSV with a column `background` and any of box, quad, mask, at, view, name. Paths
    are relative to the table.

    Raises:
        InsertionError: no table, no such columns, or a background that is not there.
    """
    if table.is_dir():
        return [
            InsertionJob(background, "", "", None, "", "", background.stem)
            for background in picture_files(table)
        ]
    try:
        text = sidecars.decode(table.read_bytes())
        reader = tables.read_rows(text)
        columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, csv.Error) as error:
        raise InsertionError(f"{table} cannot be read as CSV: {error}.") from error
    if "\0" in text:
        raise InsertionError(f"{table} cannot be read as CSV: it is no text.")
    if "background" not in columns or (unknown := set(columns) - set(_COLUMNS)):
        what = (
            f"has a column {sorted(unknown)[0]}"
            if "background" in columns
            else "has no column background"
        )
        raise InsertionError(f"{table} {what}; its columns may be {', '.join(_COLUMNS)}.")
    jobs: list[InsertionJob] = []
    for number, row in enumerate(rows, start=2):
        given = {key: (row.get(key) or "").strip() for key in _COLUMNS}
        background = table.parent / given["background"]
        if not given["background"] or not files.is_file(background):
            raise InsertionError(f"{table}, line {number}: there is no background {background}.")
        name = given["name"] or f"{background.stem}-{number - 1}"
        if name in {job.name for job in jobs} or Path(name).name != name:
            raise InsertionError(f"{table}, line {number}: give it another name than {name}.")
        mask = table.parent / given["mask"] if given["mask"] else None
        jobs.append(
            InsertionJob(
                background, given["box"], given["quad"], mask, given["at"], given["view"], name
            )
        )
    return jobs


def pending_jobs(jobs: Iterable[InsertionJob], folder: Path, settings: str) -> list[InsertionJob]:
    """The jobs without a result in `folder`, or with a result of other `settings`."""
    return [job for job in jobs if not _stands(job, folder, settings)]


def mark_done(job: InsertionJob, folder: Path, settings: str) -> None:
    """Record that a job's result in `folder` was made with these `settings`."""
    files.write_text(_mark(job, folder), _key(job, settings))


def _stands(job: InsertionJob, folder: Path, settings: str) -> bool:
    mark = _mark(job, folder)
    if not (mark.is_file() and (folder / f"{job.name}.png").is_file()):
        return False
    return mark.read_text() == _key(job, settings)


def _mark(job: InsertionJob, folder: Path) -> Path:
    return folder / f"{job.name}.done"


def _key(job: InsertionJob, settings: str) -> str:
    """A fingerprint of everything the result depends on; files by their content."""
    given = [job.background, job.mask] if job.mask else [job.background]
    hashes = [files.sha256(file) for file in given]
    return files.fingerprint([settings, job.box, job.quad, job.at, job.view, hashes])
