"""What a catalogue came to: results.json, results.csv, and a page with the worst first."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from packshot.catalog.making import Outcome, log_of, project_of
from packshot.catalog.table import Product
from packshot.errors import ImageRejectedError
from packshot.images.loading import open_image
from packshot.report.page import rendered
from packshot.utils import files
from packshot.utils.durations import in_words

_PIXELS = 480
_ORDER = ("failed", "stopped", "making", "waiting", "done")
_WORDS = {"waiting": "waits", "making": "is being made", "stopped": "was stopped; goes on"}


def write_results(out: Path, products: Sequence[Product], outcomes: Iterable[Outcome]) -> Path:
    """Write results.json, results.csv and index.html into `out`; returns the page."""
    found = {outcome.id: outcome for outcome in outcomes}
    each = [found.get(product.id, Outcome(product.id)) for product in products]
    files.write_json(out / "results.json", [outcome.facts() for outcome in each])
    files.write_text(out / "results.csv", _csv(each))
    cards = [_card(out, product, outcome) for product, outcome in zip(products, each, strict=True)]
    page = out / "index.html"
    counts = {state: sum(o.state == state for o in each) for state in _ORDER}
    facts = {
        "cards": sorted(cards, key=lambda card: card["rank"]),
        "counts": counts,
        "all": len(each),
    }
    files.write_text(page, rendered("catalog.html.jinja", facts))
    return page


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


def _card(out: Path, product: Product, outcome: Outcome) -> dict[str, Any]:
    """What the page shows of a product; `rank` sorts what needs a look to the front."""
    project = project_of(out, product)
    is_bad = bool(outcome.failed_checks)
    likeness = 2.0 if outcome.likeness is None else outcome.likeness
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
        "picture": _beside(out, _small(out, product)),
        "report": _beside(out, project.report_file),
        "log": _beside(out, log_of(out, product)),
    }


def _small(out: Path, product: Product) -> Path:
    """A small copy of a product's contact sheet, made anew when the sheet is newer."""
    sheet = project_of(out, product).shots_folder / "sheet.png"
    small = files.safe_join(out, f"thumbnails/{product.id}.jpg")
    is_fresh = (
        sheet.is_file() and small.is_file() and small.stat().st_mtime >= sheet.stat().st_mtime
    )
    if sheet.is_file() and not is_fresh:
        try:
            image = open_image(sheet)
        except ImageRejectedError:  # somebody else's file in its place
            return small
        image.thumbnail((_PIXELS, _PIXELS))
        files.write_image(small, image)
    return small


def _beside(out: Path, path: Path) -> str | None:
    return Path(os.path.relpath(path, out)).as_posix() if path.is_file() else None
