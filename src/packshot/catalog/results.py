"""What a catalogue came to: results.json, results.csv, and a page with the worst first."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from packshot.catalog.outcome import Outcome, log_of, project_of, thumbnail_of
from packshot.catalog.store import folder_of, store_of
from packshot.catalog.table import Product
from packshot.report.page import rendered
from packshot.utils import files
from packshot.utils.durations import in_words

_ORDER = ("failed", "stopped", "making", "elsewhere", "waiting", "done")
_WORDS = {
    "waiting": "waits",
    "making": "is being made",
    "stopped": "was stopped; goes on",
    "elsewhere": "is being made by another start",
}


def write_results(out: str, products: Sequence[Product], outcomes: Iterable[Outcome]) -> str:
    """Write results.json, results.csv and index.html into a folder or store; returns where the page is.

    Raises:
        StoreError: the store does not answer.
        DiskFullError, WriteError: the folder cannot be written.
    """
    found = {outcome.id: outcome for outcome in outcomes}
    each = [found.get(product.id, Outcome(product.id)) for product in products]
    cards = [_card(product, outcome) for product, outcome in zip(products, each, strict=True)]
    facts = {
        "cards": sorted(cards, key=lambda card: card["rank"]),
        "counts": {state: sum(o.state == state for o in each) for state in _ORDER},
        "all": len(each),
    }
    told = {
        "results.json": files.as_json([outcome.facts() for outcome in each], indent=2) + "\n",
        "results.csv": _csv(each),
        "index.html": rendered("catalog.html.jinja", facts),
    }
    store = store_of(out)
    for name, text in told.items():
        if store:
            store.write(name, text.encode())
        else:
            files.write_text(folder_of(out) / name, text)
    return f"{store.url}/index.html" if store else str(folder_of(out) / "index.html")


def _csv(outcomes: Sequence[Outcome]) -> str:
    table = io.StringIO(newline="")
    names = [field.name for field in fields(Outcome)]
    writer = csv.DictWriter(table, names)
    writer.writeheader()
    for outcome in outcomes:
        row = outcome.facts() | {"failed_checks": "; ".join(outcome.failed_checks)}
        writer.writerow({name: _unlike_a_formula(value) for name, value in row.items()})
    return table.getvalue()


def _unlike_a_formula(value: Any) -> Any:
    """Text that spreadsheets would take for a formula, as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _card(product: Product, outcome: Outcome) -> dict[str, Any]:
    """What the page shows of a product; `rank` sorts what needs a look to the front."""
    is_bad = bool(outcome.failed_checks)
    likeness = 2.0 if outcome.likeness is None else outcome.likeness
    is_done, here = outcome.state == "done", Path()
    return {
        "rank": (_ORDER.index(outcome.state), not is_bad, likeness, product.id),
        "id": product.id,
        "name": product.subject.name,
        "kind": product.subject.class_noun,
        "state": outcome.state,
        "words": _WORDS.get(outcome.state, outcome.fault),
        "likeness": outcome.likeness,
        "drift": outcome.drift,
        "checks": outcome.failed_checks,
        "took": in_words(outcome.seconds) if outcome.seconds >= 1 else "",
        "picture": thumbnail_of(here, product).as_posix() if is_done else None,
        "report": project_of(here, product).report_file.as_posix() if is_done else None,
        "log": log_of(here, product).as_posix() if outcome.tries else None,
    }
