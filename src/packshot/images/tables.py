"""CSV tables as spreadsheets save them: any of their separators, any of their encodings."""

from __future__ import annotations

import csv
import io
import re

_SEPARATORS = ",;\t"
_SAID = re.compile(r"sep=(.)\r?", re.IGNORECASE)


def read_rows(text: str, *, strict: bool = False) -> csv.DictReader[str]:
    """The rows of a table by the names in its first line.

    The separator is the one that is most frequent there, or what Excel's line `sep=;` before it says.

    Raises:
        csv.Error: on reading a row that is not CSV; if `strict`, also one with a stray quote.
    """
    header, _, rest = text.partition("\n")
    said = _SAID.fullmatch(header)
    separator = said[1] if said else max(_SEPARATORS, key=header.count)
    lines = io.StringIO(rest if said else text, newline="")
    return csv.DictReader(lines, delimiter=separator, strict=strict)
