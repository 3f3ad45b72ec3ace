"""`packshot import` and `packshot export`: datasets of other trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.options import BASE, Here, ProjectFolder, project_at
from packshot.cli.terminal import echo


def import_dataset(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A folder, --dataset_config or table of captions (.json, .jsonl, .csv)."
        ),
    ],
    project: ProjectFolder = Here,
    class_noun: Annotated[
        str | None, typer.Option("--class", help="The class noun, if the dataset does not say.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    trigger: Annotated[
        str | None, typer.Option(help="The product's token, if the dataset does not say.")
    ] = None,
    base: Annotated[str | None, typer.Option(help=BASE)] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of a table's images, if it lies elsewhere.")
    ] = None,
    outside: Annotated[
        bool,
        typer.Option(
            "--outside", help="Take files outside its folder, too, that the dataset names."
        ),
    ] = False,
) -> None:
    """Import a kohya dataset or a Hugging Face imagefolder into a new or existing project."""
    from packshot import datasets
    from packshot.cli.console import Console
    from packshot.images.refusals import count_refused

    with Console() as console:
        result = datasets.import_dataset(
            dataset,
            project,
            class_noun=class_noun,
            name=name,
            trigger=trigger,
            base=base,
            images=images,
            outside=outside,
            progress=console.progress,
        )
        console.refused(result.refused)
        for note in result.notes:
            console.say(f"note: {note}")
    with_caption, with_mask = (
        sum(getattr(photo, kind) is not None for photo in result.photos)
        for kind in ("caption", "mask")
    )
    echo(
        f"{len(result.photos)} photos accepted ({with_caption} with captions, {with_mask} with "
        f"masks), {count_refused(result.refused)} refused; {len(result.class_images)} class images."
    )


def export_dataset(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    project: ProjectFolder = Here,
    format: Annotated[str, typer.Option(help="kohya or imagefolder.")] = "kohya",
) -> None:
    """Export photos, captions, masks and class images as another trainer's dataset."""
    from packshot import datasets
    from packshot.cli.console import Console

    with Console() as console:
        written = datasets.export_dataset(
            project_at(project), out, format=format, progress=console.progress
        )
    echo(f"Dataset: {written}")
