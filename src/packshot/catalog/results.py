"""What a catalogue has come to: results.json, results.csv, and a page with the worst first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packshot.catalog.outcome import Outcome, log_of, project_of, thumbnail_of
from packshot.catalog.rows import (
    ORDER,
    RESULTS,
    Row,
    as_csv,
    facts_of,
    is_approved,
    rank,
    read_rows,
    row_of,
    rows_of,
)
from packshot.catalog.store import folder_of, store_of
from packshot.catalog.table import Product
from packshot.catalog.verdicts import Verdict
from packshot.errors import CatalogError
from packshot.report.page import rendered
from packshot.utils import files, serialization
from packshot.utils.durations import in_words

FORMER = "former.json"
"""What earlier starts have told of products that the table leaves out: their time was paid for, too."""
_WORDS = {
    "waiting": "waits",
    "making": "is being made",
    "stopped": "was stopped; goes on",
    "elsewhere": "is being made by another start",
    "aside": "was set aside by hand",
}


class Results:
    """What has come of each product so far, in the table's order."""

    def __init__(
        self,
        out: str,
        products: Sequence[Product],
        verdicts: Mapping[str, Verdict] | None = None,
        price: float | None = None,
    ) -> None:
        """
        Args:
            out: the catalogue's folder or store; the time that earlier starts took is read there.
            verdicts: what was decided of products by their ids, see `packshot.catalog.verdicts`.
            price: of an hour of a worker; None to tell of no cost.

        Raises:
            StoreError: the store does not answer.
        """
        self._out, self._products, self._price = out, products, price
        self._verdicts = verdicts or {}
        before = {row.id: row for name in (FORMER, RESULTS) for row in _before(out, name)}
        self._rows = {
            product.id: row_of(product, before.get(product.id)).at(price) for product in products
        }
        self._former = [row for id, row in before.items() if id not in self._rows]
        for id, verdict in self._verdicts.items():
            if verdict.state == "aside" and id in self._rows:
                self._rows[id] = replace(before.get(id, self._rows[id]), state="aside").at(price)
        self._counts = Counter[str](row.state for row in self._rows.values())

    def add(self, outcome: Outcome) -> None:
        """Take up what has come of a product."""
        row = self._rows[outcome.id]
        self._rows[outcome.id] = row.after(outcome, self._price)
        self._counts[row.state] -= 1
        self._counts[outcome.state] += 1

    def count(self, *states: str) -> int:
        """How many products are in any of these states."""
        return sum(self._counts[state] for state in states)

    def write(self) -> str:
        """Write results.json, results.csv and index.html; returns where the page is.

        Raises:
            StoreError: the store does not answer.
            DiskFullError, WriteError: the folder cannot be written.
        """
        rows = list(self._rows.values())
        store = store_of(self._out)
        for name, text in self._texts(rows).items():
            if store:
                store.write(name, text.encode())
            else:
                files.write_text(folder_of(self._out) / name, text)
        return f"{store.url}/index.html" if store else str(folder_of(self._out) / "index.html")

    def _texts(self, rows: Sequence[Row]) -> dict[str, str]:
        """The files; results.json last, which tells that there are new ones."""
        ranked = sorted(
            zip(self._products, rows, strict=True),
            key=lambda both: rank(both[1], self._of(both[1])),
        )
        facts = {
            "cards": [_card(product, row, self._of(row)) for product, row in ranked],
            "counts": {state: self.count(state) for state in ORDER},
            "all": len(rows),
        }
        return {
            **({FORMER: self._told(self._former)} if self._former else {}),
            "results.csv": as_csv(rows, self._verdicts),
            "index.html": rendered("catalog.html.jinja", facts),
            RESULTS: self._told(rows),
        }

    def _told(self, rows: Sequence[Row]) -> str:
        facts = [facts_of(row, self._of(row)) for row in rows]
        return serialization.as_json(facts, indent=2) + "\n"

    def _of(self, row: Row) -> Verdict:
        return self._verdicts.get(row.id, Verdict())


def _before(out: str, name: str) -> list[Row]:
    """What earlier starts have told of in a file; nothing where that is damaged: it is written anew."""
    store = store_of(out)
    try:
        if store is None:
            return read_rows(folder_of(out), name)
        return rows_of(json.loads(store.read(name) or b"[]"), store.url)
    except (CatalogError, ValueError):
        return []


def _card(product: Product, row: Row, verdict: Verdict) -> dict[str, Any]:
    """What the page shows of a product."""
    is_made, here = row.state == "done" or bool(row.mark), Path()
    words = "approved" if is_approved(row, verdict) else _WORDS.get(row.state, row.fault)
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.class_noun,
        "state": row.state,
        "words": words,
        "likeness": row.likeness,
        "between": row.likeness_interval,
        "drift": row.drift,
        "checks": row.failed_checks,
        "took": in_words(row.spent) if row.spent >= 1 else "",
        "cost": row.cost,
        "picture": thumbnail_of(here, product.id).as_posix() if is_made else None,
        "report": project_of(here, product).report_file.as_posix() if is_made else None,
        "log": log_of(here, product.id).as_posix() if row.tries else None,
    }
