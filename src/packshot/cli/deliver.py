"""`packshot deliver`: shop pictures, and a ZIP of the project's results."""

from __future__ import annotations

from typing import Annotated

import typer

from packshot.cli.options import Here, Language, ProjectFolder, project_at
from packshot.cli.terminal import echo


def deliver(
    project: ProjectFolder = Here,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="lora, shop, shots, insertions, report; several if you like. Default: all."
        ),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="Shop pictures: square (2000 px), portrait (4:5), wide (16:9), all on white; "
            "transparent-png, transparent-webp. Default: all."
        ),
    ] = None,
    photo: Annotated[
        list[str] | None,
        typer.Option(help="Shop pictures: a photo; several if you like. Default: all with a mask."),
    ] = None,
    language: Language = "en",
) -> None:
    """Make shop pictures of the cut-outs, and a ZIP with the LoRA, pictures and the report."""
    from packshot.cli.console import Console
    from packshot.delivery import PARTS, SHOP_FORMATS, deliver_project

    opened = project_at(project)
    with Console() as console:
        made = deliver_project(
            opened, part or PARTS, formats=format or tuple(SHOP_FORMATS), photos=photo or None,
            language=language, progress=console.progress,
        )  # fmt: skip
        for note in made.notes:
            console.say(f"note: {note}")
    echo(f"Shop pictures: {len(made.shop_pictures)}\nZIP: {made.archive}")
