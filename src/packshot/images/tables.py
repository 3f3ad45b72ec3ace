"""CSV tables as spreadsheets save them: any of their separators, any of their encodings."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Reader = csv.DictReader[str]
else:  # of which Python 3.11 knows no types
    _Reader = csv.DictReader
_SEPARATORS = ",;\t"
_SAID = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_MORE = (
    "it has more cells than the table's first line: {}. Put a text that has the separator in it between "
    "quotation marks"
)


class Rows(_Reader):
    """The rows of a table by the names in its first line; of one that has more cells nothing is lost."""

    def __next__(self) -> dict[str, str]:
        """Raises `csv.Error` for a row that is not CSV, or has more cells; it may then go on."""
        row: dict[Any, Any] = super().__next__()
        more: list[str] = row.pop(None, [])
        if any(cell.strip() for cell in more):
            raise csv.Error(_MORE.format(", ".join(map(repr, more))[:80]))
        return row


def read_rows(text: str, *, strict: bool = False) -> Rows:
    """As `rows_of`, of a text."""
    return rows_of(io.StringIO(text, newline=""), strict=strict)


def rows_of(lines: Iterable[str], *, strict: bool = False) -> Rows:
    """The rows of a table's lines.

    The separator is the one that is most frequent in the first, or what Excel's line `sep=;` before it says.

    Args:
        strict: refuse a row with a stray quote, too.
    """
    lines = iter(lines)
    header = next(lines, "")
    said = _SAID.fullmatch(header)
    separator = said[1] if said else max(_SEPARATORS, key=header.count)
    return Rows(
        lines if said else itertools.chain([header], lines), delimiter=separator, strict=strict
    )


def each_row(rows: Rows) -> Iterator[dict[str, str] | csv.Error]:
    """Every row, or why it cannot be read: one costs itself alone."""
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield error
