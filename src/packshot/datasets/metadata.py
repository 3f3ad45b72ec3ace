"""Caption tables: kohya's metadata JSON, Hugging Face's metadata.jsonl and metadata.csv (.tsv).

musubi-tuner's and DiffSynth-Studio's, too: they differ in their columns' names, and DiffSynth's JSON is a
list.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packshot.datasets.model import ORIGIN, Dataset, Entry, origin_of
from packshot.errors import DatasetError, ImageRejectedError, UnsafePathError
from packshot.images import sidecars, tables
from packshot.images.sources import PICTURE_ENDINGS, picture_files
from packshot.utils import pathnames

CSV_ENDINGS = (".csv", ".tsv")
NAME_COLUMNS = ("file_name", "image_path", "image", "file")
CAPTION_COLUMNS = ("text", "caption", "prompt")
MASK_COLUMN, TAGS_COLUMN = "mask_file_name", "tags"
_ROOT = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
"""How a whole path begins, on any system."""
_TABLES_ARE = (
    '{"a.jpg": {"caption": "…"}} is one in JSON, lines of {"file_name": "a.jpg", "text": "…"} are one '
    "in JSONL"
)
_MEASURED = ("image_size", "train_resolution")
"""Columns of kohya's that are found out anew, or belong to its caches."""
_READ = {
    *NAME_COLUMNS, *CAPTION_COLUMNS, MASK_COLUMN, TAGS_COLUMN, *ORIGIN, *_MEASURED
}  # fmt: skip


def read_metadata(file: Path, folder: Path | None = None, separator: str = ", ") -> Dataset:
    """The images of a table, with their captions; a row that makes no sense costs itself alone.

    Args:
        folder: of the images; by default the table's. No name may lead out of it.
        separator: between a caption and its tags.

    Raises:
        DatasetError: the table is damaged as a whole, has no row that is one, or lists no images.
    """
    folder = folder or file.parent
    dataset, columns, moved, seen = Dataset(), set[str](), list[str](), set[Path]()
    is_table, fault = False, f"{file} lists no images."
    for place, value in _rows(file):
        called = f"{file.name}, {place}"
        try:
            row = _row(value)
            columns |= row.keys()
            called = name = _name_in(row)
            is_table = True
            entry = _entry(folder, name, row, separator)
            if entry.picture in seen:  # an image has one caption
                raise ValueError(
                    f"is {entry.picture.name} again; what its first entry says is read"
                )
        except (ValueError, ImageRejectedError) as error:
            reason = error.reason if isinstance(error, ImageRejectedError) else str(error)
            dataset.refused[called] = reason
            fault = f"{file}, {place} {reason}. Mend it." if len(dataset.refused) == 1 else fault
            continue
        dataset.entries.append(entry)
        seen.add(entry.picture)
        if _ROOT.match(name) and entry.picture.with_suffix("") != Path(name).with_suffix(""):
            moved.append(name)
    if not is_table:
        raise DatasetError(fault)
    if unused := sorted(columns - _READ):
        dataset.notes.append(f"{file.name}: not used: {', '.join(unused)}")
    if moved:
        dataset.notes.append(
            f"{file.name}: found in {folder}, not where it says: {len(moved)} (such as {moved[0]})"
        )
    dataset.notes += _unlisted(file, folder, dataset)
    return dataset


def _unlisted(file: Path, folder: Path, dataset: Dataset) -> Iterator[str]:
    """A note on images beside those of a table that it does not list."""
    listed = {entry.picture for entry in dataset.entries}
    listed |= {entry.mask for entry in dataset.entries if entry.mask}
    folders = sorted({folder, *(path.parent for path in listed)}) if listed else []
    refused = {re.split(r"[/\\]", name)[-1] for name in dataset.refused}
    found = (path for place in folders for path in picture_files(place))
    left = [path for path in found if path not in listed and path.name not in refused]
    if left:
        names = ", ".join(path.name for path in left[:3]) + ", …" * (len(left) > 3)
        yield f"{file.name} does not list all images: {len(left)} left out ({names})"


def read_json(file: Path) -> Any:
    """Parse a JSON file.

    Raises:
        DatasetError: it is not JSON.
    """
    return _whole(_text(file), file)


def _row(value: Any) -> dict[str, Any]:
    """A row of a table.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, ValueError):
        raise value
    if not isinstance(value, dict):
        raise ValueError("is no row of a table of captions")
    return value


def _name_in(row: Mapping[str, Any]) -> str:
    name = next((row[key] for key in NAME_COLUMNS if row.get(key)), None)
    if not isinstance(name, str):
        raise ValueError("names no image; give it a file_name")
    return name


def _entry(folder: Path, name: str, row: Mapping[str, Any], separator: str) -> Entry:
    for key in (*CAPTION_COLUMNS, TAGS_COLUMN, MASK_COLUMN):
        if not isinstance(row.get(key) or "", str):
            raise ValueError(f"has a {key} that is no text; mend it")
    picture, mask = _picture(folder, name), row.get(MASK_COLUMN)
    caption = next((row[key] for key in CAPTION_COLUMNS if row.get(key)), "")
    parts = [part for part in (caption, row.get(TAGS_COLUMN)) if part]
    return Entry(
        picture=picture,
        caption=separator.join(parts) or None,
        mask=_mask(folder, mask) if mask else sidecars.mask_file(picture),
        origin=origin_of(row),
    )


def _mask(folder: Path, name: str) -> Path:
    try:
        return _picture(folder, name)
    except ValueError as error:
        raise ValueError(f"has a mask, {name}, that {error}") from None


def _picture(folder: Path, name: str) -> Path:
    """The image file of a name; kohya's older tables omit the ending.

    Names may have Windows' separators. Of one that says where the image lay on some disk, as much of
    the end is used as is needed to find it here.

    Raises:
        ValueError: the name leads out of the folder, or there is no such file.
    """
    reasons = []
    for tail in _tails(name):
        try:
            return _picture_at(folder, tail)
        except ValueError as error:
            reasons.append(error)
    raise reasons[0]


def _tails(name: str) -> list[str]:
    """The name; with slashes only; and if it begins at a disk's root, its ends, the longest first."""
    parts = re.split(r"[/\\]+", name)
    if ".." in parts:
        return [name]
    ends = range(1, len(parts)) if _ROOT.match(name) else ()
    plain = "/".join(parts)
    return list(dict.fromkeys((name, plain, *("/".join(parts[start:]) for start in ends))))


def _picture_at(folder: Path, name: str) -> Path:
    try:
        path = pathnames.safe_join(folder, name)
        if path.is_file() and path.suffix.lower() in PICTURE_ENDINGS:
            return path
        images = list(picture_files(path.parent)) if path.parent.is_dir() else []
        wanted = sidecars.same_form(path.name)
        named = [image for image in images if wanted in _forms(image)]
        # Windows, where many a table was made, takes A.JPG for a.jpg.
        named += [one for one in images if wanted.lower() in map(str.lower, _forms(one))]
        image = next(iter(named), None)
    except UnsafePathError:
        raise ValueError(f"leads outside {folder}; move it there, or name its folder") from None
    except (OSError, ValueError):  # too long a name, or one with a null in it
        raise ValueError("is no file name") from None
    if image is None and path.is_file():
        raise ValueError("has no image file ending; add one (.jpg, .png)")
    if image is None:
        raise ValueError(f"is not in {folder}; name the folder that it is in")
    return image


def _forms(image: Path) -> tuple[str, str]:
    """What a table may call an image: with its ending, or without."""
    return sidecars.same_form(image.name), sidecars.same_form(image.stem)


def _rows(file: Path) -> Iterator[tuple[str, Any]]:
    """What stands where the table has rows, and where that is; a `ValueError` for what is not JSON.

    In any of the formats, with kohya's or Hugging Face's columns.
    """
    if file.suffix.lower() in CSV_ENDINGS:
        yield from _csv_rows(file)
        return
    text = _text(file)
    if file.suffix.lower() == ".jsonl":
        # Not splitlines(), which also splits at characters that stand in captions unescaped.
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"line {number}", _parsed(line)
        return
    table = _whole(text, file)
    if isinstance(table, list) and any(isinstance(row, dict) for row in table):
        yield from ((f"entry {number}", row) for number, row in enumerate(table, start=1))
        return
    if not isinstance(table, dict):
        raise DatasetError(f"{file} is no table of captions: {_TABLES_ARE}.")
    for number, (name, row) in enumerate(table.items(), start=1):
        yield f"entry {number}", {**row, NAME_COLUMNS[0]: name} if isinstance(row, dict) else row


def _csv_rows(file: Path) -> Iterator[tuple[str, Any]]:
    rows = tables.read_rows(sidecars.decode(_bytes(file)))
    for row in tables.each_row(rows):
        fault = ValueError(f"is not valid CSV: {row}") if isinstance(row, csv.Error) else None
        yield f"line {rows.reader.line_num}", fault or row


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(f"is not valid JSON: {error}")


def _whole(text: str, file: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file} is not valid JSON: {error}. Mend it.") from error


def _text(file: Path) -> str:
    """A JSON file's text: UTF-8, as the standard says, or UTF-16, as PowerShell writes it."""
    data = _bytes(file)
    if sidecars.is_utf16(data):
        return sidecars.decode(data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file} cannot be read as UTF-8 text: {error}.") from error


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error}.") from error
