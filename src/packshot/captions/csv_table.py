"""All captions as a CSV table for any spreadsheet: writing it, and reading edits back."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packshot.captions.edit import EditedCaptions, named, write_edited
from packshot.errors import CaptionError, OverwriteError
from packshot.images import sidecars, tables
from packshot.photos.photo_set import Photo, list_photos, set_caption_locks
from packshot.project import Project
from packshot.utils import hashing, overwriting, pathnames

COLUMNS = ("file", "caption", "locked", "source")
_RUN = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for a formula if a cell begins with it."""
_YES, _NO = ("yes", "true", "1", "x", "y", "sì", "si"), ("no", "false", "0", "", "n")
_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Row:
    """One photo's row of a table; `locked` is None if the cell is empty."""

    line: int
    file: str
    caption: str
    locked: bool | None


def write_caption_table(project: Project) -> Path:
    """Write `captions.csv`: file, caption, locked, source. Returns its path.

    UTF-8 with a byte order mark, so that spreadsheets recognise it. A cell that a spreadsheet would
    run as a formula gets an apostrophe in front, which is removed when the table is read.

    Raises:
        CaptionError: the table that is there holds edits that were not applied.
        ProjectError: the manifest of the photos is damaged.
    """
    table = project.captions_table
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for photo in list_photos(project):
        cells = (photo.file.name, photo.caption or "", "yes" if photo.caption_locked else "no",
                 (photo.caption and photo.caption_by) or "")  # fmt: skip
        rows.writerow([_harmless(cell) for cell in cells])
    try:
        overwriting.write_result(table, b"\xef\xbb\xbf" + out.getvalue().encode())
    except OverwriteError as error:
        raise CaptionError(
            f"{table} was changed since Packshot wrote it. Apply it first (packshot caption --apply "
            f"{table.name}), or move it away."
        ) from error
    return table


def apply_caption_table(project: Project, table: Path) -> EditedCaptions:
    """Apply captions and locks of a table; photos that it does not list are unchanged.

    A changed caption counts as written by a person from then on. A locked caption can only be
    changed if its row says "no" under locked.

    Raises:
        CaptionError: not such a table, an unknown photo, or an invalid caption; nothing was written.
        ProjectError: another process works on the project.
    """
    rows = read_table(table)
    with project.held():
        photos = list_photos(project)
        by_name = {photo.file.name: photo for photo in photos}
        lost = [f"  line {row.line}: {row.file!r}" for row in rows if row.file not in by_name]
        if lost:
            raise CaptionError(
                "\n".join([f"{table} names photos that the project does not have:", *lost])
            )
        _refuse_twice(table, rows)
        if bare := [row.file for row in rows if row.locked and not row.caption]:
            raise CaptionError(f"{table}: there is no caption to lock: {', '.join(bare)}.")
        locks = {row.file: row.locked for row in rows if row.locked is not None}
        after = [_with_lock(photo, locks) for photo in photos]
        edited = write_edited(project, after, {row.file: row.caption for row in rows})
        for locked in (True, False):
            set_caption_locks(
                project, named(photos, [n for n, lock in locks.items() if lock is locked]), locked
            )
        if table.resolve() == project.captions_table.resolve():
            overwriting.note_result(
                project.captions_table, hashing.sha256(table)
            )  # all of it is taken over
        return edited


def _with_lock(photo: Photo, locks: Mapping[str, bool | None]) -> Photo:
    """The photo, unlocked if its row unlocks it. A photo that its row locks may still change now."""
    opened = photo.caption_locked and locks.get(photo.file.name, True) is False
    return replace(photo, caption_locked=False) if opened else photo


def _refuse_twice(table: Path, rows: Sequence[Row]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.file in seen:
            raise CaptionError(f"{table}, line {row.line}: {row.file} is there twice.")
        seen.add(row.file)


def read_table(table: Path) -> list[Row]:
    """The rows of a table by Packshot or a spreadsheet, separated by commas, semicolons or tabs.

    Raises:
        CaptionError: not such a table.
    """
    if not pathnames.is_file(table):
        raise CaptionError(f"There is no table {table}. Make one: packshot caption --review")
    if table.stat().st_size > _MOST_BYTES:
        raise CaptionError(f"{table} is far too large for a table of captions.")
    lines = tables.read_rows(sidecars.decode(table.read_bytes()), strict=True)
    try:
        if missing := {"file", "caption"} - set(lines.fieldnames or ()):
            raise CaptionError(
                f"{table} has no column {min(missing)!r}; its first line must say "
                f"{','.join(COLUMNS)}."
            )
        return [_row(table, lines.line_num, cells) for cells in lines if any(cells.values())]
    except csv.Error as error:
        raise CaptionError(
            f"{table} is no table that can be read: line {lines.reader.line_num}: {error}."
        ) from error


def _row(table: Path, line: int, cells: Mapping[str, str | None]) -> Row:
    locked = (cells.get("locked") or "").strip().lower()
    if locked not in _YES + _NO:
        raise CaptionError(f"{table}, line {line}: locked is {locked!r}; write yes or no.")
    caption = _as_meant(cells["caption"] or "")
    return Row(
        line=line,
        file=_as_meant((cells["file"] or "").strip()),
        caption=sidecars.one_line(caption),
        locked=locked in _YES if "locked" in cells else None,
    )


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith((*_RUN, "'")) else cell


def _as_meant(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith((*_RUN, "'")) else cell
