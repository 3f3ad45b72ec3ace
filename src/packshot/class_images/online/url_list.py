"""Lists of URLs: one per line, or a table (CSV, TSV, JSON lines) with metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from packshot.class_images.online.api_search import Ask, Limit
from packshot.class_images.online.candidate import Candidate, make_candidate
from packshot.class_images.online.request_log import RejectedUrl
from packshot.errors import ClassImagesError
from packshot.images import sidecars, tables

_TABLES = (".csv", ".tsv")
_URL_COLUMNS = ("url", "URL", "image_url")
_REMEDY = "Name each picture's in a column 'url', or write one URL a line in a .txt."


class UrlList:
    """The images in a list, in its order; metadata that it lacks is "unknown".

    A line that cannot be read costs itself, and not the list, unless there is no other.
    """

    limits: Sequence[Limit] = ()

    def __init__(self, file: Path) -> None:
        self.name, self._file = str(file), file

    def candidates(self, ask: Ask) -> Iterator[Candidate | RejectedUrl]:
        fault, has_url = "", False
        try:
            with sidecars.open_text(self._file) as lines:
                for number, row in _rows(lines, self._file.suffix.lower()):
                    found = _candidate(row, f"{self._file.name}, line {number}")
                    has_url = has_url or isinstance(found, Candidate)
                    if isinstance(found, RejectedUrl):
                        fault = fault or found.reason
                    yield found
        except OSError as error:
            raise ClassImagesError(f"{self._file} cannot be read: {error}. Mend it.") from error
        if fault and not has_url:
            raise ClassImagesError(f"{self._file} has no line with a URL: one {fault}. {_REMEDY}")


def _candidate(row: dict[str, Any] | Exception, line: str) -> Candidate | RejectedUrl:
    """What a line names, or why that is nothing."""
    if isinstance(row, Exception):
        return RejectedUrl(url=line, reason=f"cannot be read: {str(row)[:200]}")
    url = next((row[name] for name in _URL_COLUMNS if row.get(name)), None)
    if not isinstance(url, str) or not url.strip():
        return RejectedUrl(url=line, reason=f"has no URL: {str(row)[:80]}")
    try:
        return make_candidate(url.strip(), row)
    except (ValueError, RecursionError) as error:
        return RejectedUrl(url=line, reason=f"cannot be read: {str(error)[:200]}")


def _rows(lines: TextIO, ending: str) -> Iterator[tuple[int, dict[str, Any] | Exception]]:
    """The lines with their numbers: what each holds, or why it cannot be read."""
    if ending in _TABLES:
        yield from enumerate(
            tables.each_row(tables.rows_of(lines)), start=2
        )  # as a spreadsheet does
        return
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if line and not line.startswith("#"):
            yield number, _json(line) if ending == ".jsonl" else {"url": line}


def _json(line: str) -> dict[str, Any] | Exception:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return error
    return row if isinstance(row, dict) else ValueError(f"{line[:80]} is no JSON object")
