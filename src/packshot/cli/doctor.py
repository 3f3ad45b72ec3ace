"""`packshot doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.options import BASE
from packshot.cli.terminal import echo


def doctor(
    base: Annotated[
        str | None, typer.Option(help=BASE + " It is tried. Or a family's name: sdxl, flux1.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file, too.")] = None,
) -> None:
    """Examine this installation, and a base on it. Names no folder or user: fit for a bug report."""
    from packshot.cli.console import Console
    from packshot.utils import overwriting, serialization

    if json:
        overwriting.refuse_others(json)
    with Console() as console:
        console.progress("libraries", 0, 1)  # importing them alone takes seconds
        from packshot.doctor import examine

        report = examine(base, console.progress)
    echo(report.text())
    if json:
        text = serialization.as_json(report.as_json(), indent=2) + "\n"
        overwriting.write_result(json, text.encode("utf-8", "replace"))
    if not report.is_ready:
        raise typer.Exit(2)
