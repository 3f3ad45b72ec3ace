"""What is told of each product of a catalogue, and in which order: results.json and whoever shows it.

Loads no PyTorch: the studio reads it, too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from packshot.catalog.outcome import Outcome
from packshot.catalog.table import ID, Product
from packshot.catalog.verdicts import Verdict, seconds_of
from packshot.errors import CatalogError
from packshot.utils import pathnames, reading

RESULTS = "results.json"
ORDER = ("failed", "stopped", "making", "elsewhere", "waiting", "done", "aside")
"""Of states, the worst first."""
Group = Literal["look", "coming", "decided"]
GROUPS: tuple[Group, ...] = ("look", "coming", "decided")
"""What waits for somebody to look at it, what is to be made, what is decided."""


@dataclass(frozen=True)
class Row(Outcome):
    """What came of a product, and what it is."""

    id: Annotated[str, Field(pattern=ID)]
    name: str = ""
    class_noun: str = ""
    time_budget: str | None = None
    """With which it is made; None for the whole recipe."""
    spent: float = 0.0
    """Seconds, in all starts together."""
    cost: float | None = None
    """Of these, by the price of a worker; None if none was told."""

    def after(self, outcome: Outcome, price: float | None) -> Row:
        """This row once something has come of its product.

        Args:
            price: of an hour of a worker.
        """
        spent = self.spent + (0.0 if outcome.was_complete else outcome.seconds)
        return replace(self, **vars(outcome), spent=round(spent, 1)).at(price)

    def at(self, price: float | None) -> Row:
        """This row with what its time costs."""
        return replace(self, cost=None if price is None else round(self.spent / 3600 * price, 4))

    @property
    def needs_a_look(self) -> bool:
        """Whether something was measured of it that ought to be looked at."""
        return bool(self.failed_checks)


def row_of(product: Product, before: Row | None) -> Row:
    """The row of a product of which nothing has come yet in this start."""
    return Row(
        product.id, name=product.subject.name, class_noun=product.subject.class_noun,
        time_budget=product.choices.time_budget, spent=before.spent if before else 0.0,
    )  # fmt: skip


def read_rows(out: Path, name: str = RESULTS) -> list[Row]:
    """The rows of a file in a catalogue's folder, in the table's order; none if nothing has begun.

    Raises:
        CatalogError: its results are none.
        UnsafePathError: they lie elsewhere.
    """
    return rows_of(reading.read_json(pathnames.safe_join(out, name)) or [], out)


def rows_of(told: Any, where: object) -> list[Row]:
    """The rows that a results.json has told of.

    Raises:
        CatalogError: it is none.
    """
    try:
        return _ROWS.validate_python(told)
    except ValidationError as error:
        raise CatalogError(
            f"{where}: results.json is none that Packshot writes. The next start of the catalogue writes "
            "it anew."
        ) from error


def group_of(row: Row, verdict: Verdict) -> Group:
    """Where a product stands with whoever looks through the catalogue."""
    if verdict.state == "aside" or is_approved(row, verdict):
        return "decided"
    return "look" if row.state in ("done", "failed") and not is_due(row, verdict) else "coming"


def is_approved(row: Row, verdict: Verdict) -> bool:
    """Whether this very result was approved, and nothing else was decided of it since."""
    is_it = row.state == "done" and verdict.mark == row.mark
    return verdict.state == "approved" and is_it and not is_due(row, verdict)


def is_due(row: Row, verdict: Verdict) -> bool:
    """Whether the next start makes it with more time than it was made with."""
    return seconds_of(verdict.budget(row.time_budget)) > seconds_of(row.time_budget)


def rank(row: Row, verdict: Verdict) -> tuple[object, ...]:
    """What sorts a catalogue: what needs a look comes first, the worst of it before all."""
    likeness = 2.0 if row.likeness is None else row.likeness
    group = GROUPS.index(group_of(row, verdict))
    return group, ORDER.index(row.state), not row.needs_a_look, likeness, row.id


def facts_of(row: Row, verdict: Verdict) -> dict[str, Any]:
    """All of a row, and what was decided of it, as JSON takes it."""
    state = (
        "none" if verdict.state == "approved" and not is_approved(row, verdict) else verdict.state
    )
    return asdict(row) | {"verdict": state}


def as_csv(rows: Iterable[Row], verdicts: Mapping[str, Verdict]) -> str:
    """The rows as a table for spreadsheets."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [*(field.name for field in fields(Row)), "verdict"])
    writer.writeheader()
    for row in rows:
        told = facts_of(row, verdicts.get(row.id, Verdict()))
        told["failed_checks"] = "; ".join(row.failed_checks)
        told["likeness_interval"] = " to ".join(map(str, row.likeness_interval or ()))
        writer.writerow({name: _unlike_a_formula(value) for name, value in told.items()})
    return table.getvalue()


def _unlike_a_formula(value: Any) -> Any:
    """Text that spreadsheets would take for a formula, as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


_ROWS = TypeAdapter(list[Row])
