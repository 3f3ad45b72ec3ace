"""`packshot studio`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.terminal import echo


def studio(
    folder: Annotated[
        Path, typer.Argument(help="The folder of your projects; made if it is not there.")
    ] = Path("packshot-projects"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8756,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Also for other machines: 0.0.0.0, or an address of this one. Asks for a password.",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address.")
    ] = False,
) -> None:
    """Open the studio: all steps on a local web page, in English and Italian."""
    from packshot.errors import StudioError

    try:
        from packshot.studio.serve import serve
    except ModuleNotFoundError as error:
        raise StudioError(
            f'The studio needs {error.name}, which is not installed: pip install "packshot[studio]"'
        ) from error
    serve(folder, port=port, listen=listen, opens_browser=not no_browser, say=echo)
