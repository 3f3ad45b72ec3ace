"""Lists of URLs: one per line, or a table (CSV, TSV, JSON lines) with metadata."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from packshot.class_images.online.api_search import Ask, Limit
from packshot.class_images.online.candidate import Candidate, make_candidate
from packshot.errors import ClassImagesError

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_URL_COLUMNS = ("url", "URL", "image_url")


class UrlList:
    """The images in a list, in its order; metadata that it lacks is "unknown"."""

    limits: Sequence[Limit] = ()

    def __init__(self, file: Path) -> None:
        self.name, self._file = str(file), file

    def candidates(self, ask: Ask) -> Iterator[Candidate]:
        try:
            with self._file.open(encoding="utf-8-sig", newline="") as lines:
                for row in _rows(lines, self._file.suffix.lower()):
                    url = next((row[name] for name in _URL_COLUMNS if row.get(name)), None)
                    if not isinstance(url, str):
                        raise ClassImagesError(
                            f"{self._file} has a line without a URL: {str(row)[:80]}. Name each "
                            "picture's in a column 'url', or write one URL a line in a .txt."
                        )
                    yield make_candidate(url.strip(), row)
        except (OSError, ValueError, RecursionError, csv.Error) as error:
            raise ClassImagesError(f"{self._file} cannot be read: {error}. Mend it.") from error


def _rows(lines: TextIO, ending: str) -> Iterator[dict[str, Any]]:
    if ending in _SEPARATORS:
        yield from csv.DictReader(lines, delimiter=_SEPARATORS[ending])
        return
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        row = json.loads(line) if ending == ".jsonl" else {"url": line}
        if not isinstance(row, dict):
            raise ValueError(f"{line[:80]} is no JSON object")
        yield row
