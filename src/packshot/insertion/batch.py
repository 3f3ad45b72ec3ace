"""Inserting into many backgrounds: a table of placements; finished results are not redone."""

from __future__ import annotations

import csv
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from packshot.errors import InsertionError
from packshot.images import sidecars, tables
from packshot.images.sources import picture_files
from packshot.insertion.occlusion import AUTO
from packshot.insertion.record import is_of_another, results_of
from packshot.utils import hashing, overwriting, pathnames

_COLUMNS = (
    "background", "box", "quad", "mask", "at", "view", "photo", "name", "tall", "known", "horizon",
    "behind",
)  # fmt: skip
_NUMBERS = ("tall", "horizon")


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
    photo: str = ""
    tall: float | None = None
    """The product's height in metres."""
    known: str = ""
    horizon: float | None = None
    behind: str = ""
    """The file of a mask of what stands before the product, or "auto"."""
    fault: str = ""
    """Why nothing can be made of it; the others are made."""
    batch: str = ""
    """A fingerprint of the place of the folder or table that it is in."""


def read_jobs(table: Path) -> list[InsertionJob]:
    """The jobs of a folder of backgrounds, or of a table.

    A table is a CSV with a column `background` and any of box, quad, mask, at, view, photo, name,
    tall, known, horizon, behind. Paths are relative to the table. A row that makes no sense is a job with a
    fault.

    Raises:
        InsertionError: no table, or no such columns.
    """
    jobs = _of_folder(table) if table.is_dir() else _of_table(table)
    batch = hashing.fingerprint(str(table.resolve()))
    return [replace(job, batch=batch) for job in jobs]


def _of_folder(folder: Path) -> list[InsertionJob]:
    """Of two backgrounds with one stem, each result has its background's whole name."""
    plates = [path for path in picture_files(folder) if not overwriting.is_result(path)]
    jobs: list[InsertionJob] = []
    stems = [_plain(path.stem) for path in plates]
    for path in plates:
        unique = stems.count(_plain(path.stem)) == 1
        name = path.stem if unique else f"{path.stem}-{path.suffix[1:].lower()}"
        jobs.append(InsertionJob(path, "", "", None, "", "", _free(name, jobs)))
    return jobs


def _of_table(table: Path) -> list[InsertionJob]:
    try:
        text = sidecars.decode(table.read_bytes())
        reader = tables.read_rows(text)
        columns, rows = reader.fieldnames or (), list(tables.each_row(reader))
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
        if isinstance(row, csv.Error):
            fault, name = f"{table}, line {number}: {row}", _free(f"line {number}", jobs)
            jobs.append(InsertionJob(table, "", "", None, "", "", name, fault=fault))
            continue
        given = {key: (row.get(key) or "").strip() for key in _COLUMNS}
        jobs.append(_of_row(table, number, given, jobs))
    return jobs


def _of_row(
    table: Path, number: int, given: dict[str, str], before: list[InsertionJob]
) -> InsertionJob:
    """The job of a table's row in this line; `before` are those of the rows above."""
    background = table.parent / given["background"]
    mask = table.parent / given["mask"] if given["mask"] else None
    behind = given["behind"]
    if behind and behind != AUTO:
        behind = str(table.parent / behind)
    name = given["name"] or _free(f"{background.stem}-{number - 1}", before)
    numbers = {key: _number(given[key]) for key in _NUMBERS}
    fault = ""
    if not given["background"] or not pathnames.is_file(background):
        fault = f"there is no background {background}"
    elif wrong := [key for key in _NUMBERS if given[key] and numbers[key] is None]:
        fault = f"the {wrong[0]} {given[wrong[0]]} is no number"
    elif missing := [
        file for file in (mask, _file(behind)) if file and not pathnames.is_file(file)
    ]:
        fault = f"there is no mask {missing[0]}"
    elif Path(name).name != name or "\0" in name or name != _free(name, before):
        fault = f"give it another name than {name}"
    if fault:
        fault, name = f"{table}, line {number}: {fault}", _free(f"line {number}", before)
    return InsertionJob(
        background, given["box"], given["quad"], mask, given["at"], given["view"], name,
        photo=given["photo"], tall=numbers["tall"], known=given["known"],
        horizon=numbers["horizon"], behind=behind, fault=fault,
    )  # fmt: skip


def _file(behind: str) -> Path | None:
    return Path(behind) if behind and behind != AUTO else None


def _number(text: str) -> float | None:
    """A finite number, as people write it; None if the text is something else."""
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _free(name: str, jobs: Iterable[InsertionJob]) -> str:
    """The name, numbered if one of its results would have the name of another's."""
    taken = {_plain(path.name) for job in jobs for path in _results(job.name)}
    free, number = name, 1
    while taken & {_plain(path.name) for path in _results(free)}:
        number += 1
        free = f"{name}-{number}"
    return free


def named_apart(jobs: Sequence[InsertionJob], folder: Path) -> list[InsertionJob]:
    """The jobs, numbered where results in `folder` that have their names are not theirs to replace.

    They are theirs if they were made of the same background, or by the same folder or table.
    """
    return [_named_apart(job, jobs, folder) for job in jobs]


def _named_apart(job: InsertionJob, jobs: Sequence[InsertionJob], folder: Path) -> InsertionJob:
    if job.fault or not _is_of_another_batch(job, job.name, folder):
        return job
    others = [other for other in jobs if other is not job]
    names = (f"{job.name}-{number}" for number in count(2))
    free = (name for name in names if _free(name, others) == name)
    return replace(
        job, name=next(name for name in free if not _is_of_another_batch(job, name, folder))
    )


def _is_of_another_batch(job: InsertionJob, name: str, folder: Path) -> bool:
    named = replace(job, name=name)
    return _made_by(named, folder) != job.batch and is_of_another(folder, name, job.background)


def _results(name: str) -> list[Path]:
    return [*results_of(Path(), name), Path(f"{name}.done")]


def _plain(name: str) -> str:
    """Names that are one to some file system are one here."""
    return unicodedata.normalize("NFC", name).casefold()


def pending_jobs(jobs: Iterable[InsertionJob], folder: Path, settings: str) -> list[InsertionJob]:
    """The jobs without a result in `folder`, or with a result of other `settings`."""
    return [job for job in jobs if not _stands(job, folder, settings)]


def begin(job: InsertionJob, folder: Path) -> None:
    """Forget how a job's earlier result was made: from now on it is being replaced.

    Raises:
        OverwriteError: another file has the name of our mark.
    """
    overwriting.refuse_others(_mark(job, folder))
    if _mark(job, folder).exists():
        overwriting.write_result(_mark(job, folder), f"\n{job.batch}".encode())


def mark_done(job: InsertionJob, folder: Path, settings: str) -> None:
    """Record that a job's result in `folder` was made with these `settings`."""
    overwriting.write_result(_mark(job, folder), f"{_key(job, settings)}\n{job.batch}".encode())


def _stands(job: InsertionJob, folder: Path, settings: str) -> bool:
    if job.fault or not (folder / f"{job.name}.png").is_file():
        return False
    try:
        return _marked(job, folder)[0] == _key(job, settings)
    except OSError:  # whoever makes it says why it cannot be read
        return False


def _made_by(job: InsertionJob, folder: Path) -> str:
    """The fingerprint of the batch that the result of this name is of, "" if it is of none."""
    return _marked(job, folder)[1]


def _marked(job: InsertionJob, folder: Path) -> tuple[str, str]:
    """What a result depends on, and its batch, by its mark; empty where there is none."""
    try:
        key, _, batch = _mark(job, folder).read_text("utf-8", "replace").partition("\n")
    except OSError:
        return "", ""
    return key, batch


def _mark(job: InsertionJob, folder: Path) -> Path:
    return folder / f"{job.name}.done"


def _key(job: InsertionJob, settings: str) -> str:
    """A fingerprint of everything the result depends on; files by their content."""
    given = (job.background, job.mask, _file(job.behind))
    hashes = [hashing.sha256(file) for file in given if file]
    told = (
        job.box,
        job.quad,
        job.at,
        job.view,
        job.photo,
        job.tall,
        job.known,
        job.horizon,
        job.behind,
    )
    return hashing.fingerprint([settings, *told, hashes])
