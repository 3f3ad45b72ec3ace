"""What somebody has decided of a product, looking at it: one small file each, in the catalogue's folder.

The next start of the catalogue goes by it, whoever starts it and wherever.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from packshot.catalog.table import ID, Product
from packshot.errors import CatalogError, PackshotError
from packshot.utils import durations, files, pathnames, reading

WHOLE = "none"
"""A time budget that is none: the whole recipe."""


class Verdict(BaseModel):
    """What was decided of a product; by default nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    state: Literal["none", "approved", "aside"] = "none"
    """Aside: it is not made."""
    mark: str = ""
    """Of the result that was approved: one that is made anew is not."""
    time_budget: str = ""
    """Which it is made with, if the table gives less: a time, or `WHOLE`; empty for the table's."""
    before: str = ""
    """The time budget that was decided before this one."""

    @field_validator("time_budget", "before")
    @classmethod
    def _a_time(cls, value: str) -> str:
        try:
            if value not in ("", WHOLE):
                durations.to_seconds(value)
        except PackshotError as error:
            raise ValueError(str(error)) from error
        return value

    def budget(self, given: str | None) -> str | None:
        """The longer of this time budget and the table's; None is the whole recipe."""
        if not self.time_budget or seconds_of(given) >= seconds_of(self.time_budget):
            return given
        return None if self.time_budget == WHOLE else self.time_budget


def seconds_of(budget: str | None) -> float:
    """A time budget in seconds; endless for the whole recipe."""
    return math.inf if budget in (None, WHOLE) else durations.to_seconds(str(budget))


def longer_than(budget: str | None) -> tuple[str, ...]:
    """The time budgets that a product can be given after this one; none after the whole recipe."""
    seconds = seconds_of(budget)
    return () if math.isinf(seconds) else (f"{2 * seconds:.0f}s", f"{4 * seconds:.0f}s", WHOLE)


def read_verdicts(out: Path) -> dict[str, Verdict]:
    """What was decided, by the products' ids.

    Raises:
        CatalogError: a file of these is none, or is not in the folder.
    """
    folder = pathnames.safe_join(out, "verdicts")
    found = sorted(folder.glob("*.json")) if folder.is_dir() else []
    return {path.stem: _read(path) for path in found if re.match(ID, path.stem)}


def read_verdict(out: Path, product: str) -> Verdict:
    """What was decided of one product.

    Raises:
        CatalogError, UnsafePathError: as `read_verdicts`.
    """
    path = _file(out, product)
    return _read(path) if path.exists() else Verdict()


def give_verdict(out: Path, product: str, verdict: Verdict) -> None:
    """Keep what was decided of a product.

    Raises:
        UnsafePathError: it would be written outside the folder.
        DiskFullError, WriteError: it cannot be written.
    """
    path = _file(out, product)
    pathnames.refuse_links(path)
    files.write_json(path, verdict.model_dump())


def as_decided(products: Sequence[Product], verdicts: Mapping[str, Verdict]) -> list[Product]:
    """The products with the time that each is given."""
    return [_timed(product, verdicts.get(product.id, Verdict())) for product in products]


def is_aside(product: Product, verdicts: Mapping[str, Verdict]) -> bool:
    """Whether a product was set aside."""
    return verdicts.get(product.id, Verdict()).state == "aside"


def _timed(product: Product, verdict: Verdict) -> Product:
    given = product.choices.time_budget
    if (budget := verdict.budget(given)) == given:
        return product
    # Named though it is None: else the project would keep what it has.
    choices = product.choices.model_copy(update={"time_budget": budget})
    return product.model_copy(update={"choices": choices})


def _file(out: Path, product: str) -> Path:
    return pathnames.safe_join(out, f"verdicts/{product}.json")


def _read(path: Path) -> Verdict:
    try:
        return Verdict.model_validate(reading.read_json(path))
    except ValidationError as error:
        raise CatalogError(
            f"{path} says nothing that can be decided of a product. Delete it, and decide again."
        ) from error
