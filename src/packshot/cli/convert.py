"""`packshot convert`: pictures in other formats, with what they say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.terminal import PARTLY, echo


def convert(
    pictures: Annotated[list[Path], typer.Argument(help="Shots, insertions, or any pictures.")],
    to: Annotated[str, typer.Option("--to", help="jpg, png, webp, tiff or heic.")] = "jpg",
    out: Annotated[
        Path | None, typer.Option(help="Folder for them. Default: beside each picture.")
    ] = None,
) -> None:
    """Write pictures in another format; their metadata and Content Credentials go along.

    PNG, WebP and TIFF keep every value (WebP and TIFF those of 8 bits); JPEG and HEIC are made with
    quality 95 and full colour. Exit code 3 says that some could not be converted; it is said which, and why.
    """
    from packshot.delivery.conversion import convert_all

    failed: dict[Path, str] = {}
    made = 0
    for file in convert_all(pictures, out, to, failed):
        echo(file)
        made += 1
    for picture, reason in failed.items():
        echo(f"not converted: {picture}: {reason}", err=True)
    if failed:
        raise typer.Exit(PARTLY if made else 2)
