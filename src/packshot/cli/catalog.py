"""`packshot catalog`: the path of one product, over a table of them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packshot.cli.options import (
    BASE,
    ClassCount,
    ClassSources,
    SegmenterName,
    TimeBudget,
    plates_of,
    sources_of,
)
from packshot.cli.terminal import echo

if TYPE_CHECKING:
    from packshot.catalog.outcome import Outcome
    from packshot.catalog.results import Results
    from packshot.catalog.table import Product
    from packshot.cli.console import Console

_PAGE_SECONDS = 10.0
"""The page is written this often while work goes on."""
_FAULTS = 20
"""So many faults of a table are shown."""
_TOLD = {"failed": "set aside", "waiting": "again later"}
_LACKING = "Where a row has none: "


def catalog(
    table: Annotated[
        Path, typer.Argument(help="A CSV, JSON lines or Parquet file; a row is a product.")
    ],
    out: Annotated[
        str,
        typer.Option(
            help="Where the projects and the page go: a folder, or a URL (s3, gs, az, ...)."
        ),
    ],
    class_noun: Annotated[
        str | None, typer.Option("--class", help=f"{_LACKING}what kind of thing it is.")
    ] = None,
    base: Annotated[str | None, typer.Option(help=_LACKING + BASE[0].lower() + BASE[1:])] = None,
    time_budget: TimeBudget = None,
    segmenter: SegmenterName = None,
    class_images: ClassSources = None,
    class_count: ClassCount = None,
    images_per_prompt: Annotated[
        int | None, typer.Option(min=1, max=64, help=f"{_LACKING}images of each prompt.")
    ] = None,
    plates: Annotated[
        str | None, typer.Option(help=f"{_LACKING}photos to put it into: a folder or a CSV.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=f"{_LACKING}the seed.")] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help='A Ray cluster: HOST:PORT, ray://HOST:PORT or "auto"; default: this machine.'
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes; default: one a GPU, else one. Here no more than GPUs."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Make the good rows of a table with bad ones.")
    ] = False,
    max_failures: Annotated[
        int | None, typer.Option(min=1, help="End when so many products were set aside.")
    ] = None,
    price_per_hour: Annotated[
        float | None,
        typer.Option(min=0, help="Of a worker: the results tell what each product cost."),
    ] = None,
) -> None:
    """Make every product of a table: `packshot run` for each, on this machine or a Ray cluster.

    The whole table is checked before anything is made. The same command goes on where it was stopped,
    and makes what is new or changed.
    """
    from packshot.catalog.results import Results
    from packshot.catalog.store import folder_of, settled, store_of
    from packshot.catalog.table import placed
    from packshot.catalog.verdicts import as_decided, is_aside, read_verdicts
    from packshot.cli.console import Console

    here = Path.cwd()  # rows name files beside the table, options where they are typed
    defaults: dict[str, Any] = {
        "class": class_noun, "base": base and placed("base", base, here),
        "time_budget": time_budget,
        "segmenter": segmenter and placed("segmenter", segmenter, here),
        "class_images": [
            placed("class_images", source, here) for source in sources_of(class_images) or ()
        ],
        "class_count": class_count,
        "images_per_prompt": images_per_prompt, "plates": plates_of(plates), "seed": seed,
    }  # fmt: skip
    products, faults = _products(table, defaults, skip_bad)
    out = settled(out)
    with Console() as console, console.stoppable():
        for fault in faults:
            console.say(f"left out: {fault}")
        verdicts = {} if store_of(out) else read_verdicts(folder_of(out))
        products = as_decided(products, verdicts)
        made = [product for product in products if not is_aside(product, verdicts)]
        results = Results(out, products, verdicts, price_per_hour)
        if made:
            _make(made, out, results, console, max_failures, address=address, workers=workers)
    page = results.write()
    aside = len(products) - len(made)
    by_hand = f", {aside} set aside by hand" if aside else ""
    echo(f"{results.count('done')} of {len(products)} are done{by_hand}. Page: {page}")
    if results.count("done") < len(made):
        raise typer.Exit(1 if results.count("failed") else console.exit_code)


def _products(
    table: Path, defaults: dict[str, Any], skip_bad: bool
) -> tuple[list[Product], list[str]]:
    """The products of a table and its faults, which are an error unless they are to be left out."""
    from packshot.catalog.table import read_table
    from packshot.errors import CatalogError

    given = {key: value for key, value in defaults.items() if value is not None}
    products, faults = read_table(table, given)
    if faults and not (skip_bad and products):
        shown = "\n".join(f"  {fault}" for fault in faults[:_FAULTS])
        more = f"\n  and {len(faults) - _FAULTS} more" if len(faults) > _FAULTS else ""
        raise CatalogError(
            f"{len(faults)} of {len(faults) + len(products)} rows of {table} cannot be made:\n"
            f"{shown}{more}\nNothing was begun. Mend them, or make the others with --skip-bad."
        )
    return products, faults


def _make(
    products: list[Product],
    out: str,
    results: Results,
    console: Console,
    max_failures: int | None,
    **where: Any,
) -> None:
    """Make the products, telling of them and writing the page now and then."""
    from packshot.catalog.engine import make_all

    page = _Page(results, console)

    def enough() -> bool:  # it is asked once a second
        page.keep()
        has_failed = max_failures is not None and results.count("failed") >= max_failures
        return console.should_stop() or has_failed

    console.training = True  # Ctrl-C stops after the step at hand
    for outcome in make_all(products, out, should_stop=enough, **where):
        page.add(outcome)
        if outcome.state in _TOLD:
            console.say(f"{_TOLD[outcome.state]}: {outcome.id}: {outcome.fault}")
        console.progress("products", results.count("done", "failed"), len(products))


class _Page:
    """The page, written anew now and then while there is something new to tell."""

    def __init__(self, results: Results, console: Console) -> None:
        self._results, self._console = results, console
        self._is_new, self._looked = False, -math.inf

    def add(self, outcome: Outcome) -> None:
        """Take up what has come of a product."""
        self._results.add(outcome)
        self._is_new = True
        self.keep()

    def keep(self) -> None:
        """Write what is new; a store or disk that does not take it now stops no work."""
        from packshot.errors import DiskFullError, StoreError, WriteError

        if not self._is_new or time.monotonic() - self._looked < _PAGE_SECONDS:
            return
        try:
            self._results.write()
            self._is_new = False
        except (DiskFullError, StoreError, WriteError) as error:
            self._console.say(f"the page is not written yet: {error}")
        self._looked = time.monotonic()
