"""`packshot run`, the whole path, and `packshot new`, its start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.values import BASE, STORAGE, Kinds, comma_separated
from packshot.terms import StorageWanted


def run(
    photos: Annotated[Path, typer.Argument(help="Folder with photos of one product.")],
    class_noun: Annotated[
        str, typer.Option("--class", help="What kind of thing it is: car, watch.")
    ],
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    base: Annotated[str, typer.Option(help=BASE)] = "pocket",
    storage: Annotated[StorageWanted, typer.Option(help=STORAGE)] = "auto",
    budget: Annotated[str | None, typer.Option(help="Time for everything: 10m, 1h30m.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="One prompt a line; {subject} is the product.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="The project folder.")
    ] = None,
    trigger: Annotated[str, typer.Option(help="The token that will mean the product.")] = "ohwx",
    class_images: Annotated[Path | None, typer.Option(help="Folder of class images.")] = None,
    class_count: Annotated[int | None, typer.Option(min=1, help="How many class images.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="Pictures of each prompt.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the whole project.")] = 0,
    blur: Kinds = "",
    captioner: Annotated[
        str | None, typer.Option(help="A model that captions: a folder, or OWNER/NAME of the hub.")
    ] = None,
) -> None:
    """Walk the whole path: photos, captions, class images, plan, training, shots, report."""
    from packshot import path
    from packshot.console import Console, asked_to_stop
    from packshot.durations import to_seconds
    from packshot.prompts import read_prompts

    with Console() as console, asked_to_stop(console) as should_stop:
        outcome = path.run(
            photos,
            class_noun=class_noun,
            name=name,
            trigger=trigger,
            base=base,
            storage=storage,
            root=project,
            budget_seconds=to_seconds(budget) if budget else None,
            prompts=read_prompts(prompts) if prompts else None,
            class_folder=class_images,
            class_count=class_count,
            seeds=range(seeds),
            seed=seed,
            blur=comma_separated(blur),
            captioner=captioner,
            progress=console.progress,
            on_plan=console.plan,
            on_event=console.event,
            should_stop=should_stop,
        )
        console.refused(outcome.refused)
    if outcome.stopped:
        raise typer.Exit(130)
    typer.echo(f"LoRA:    {outcome.project.lora_file}\nReport:  {outcome.report_file}")


def new(
    folder: Annotated[Path, typer.Argument(help="The project folder to make.")],
    class_noun: Annotated[str, typer.Option("--class", help="What kind of thing it is.")],
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    trigger: Annotated[str, typer.Option(help="The token that will mean the product.")] = "ohwx",
    base: Annotated[str, typer.Option(help=BASE)] = "pocket",
    storage: Annotated[StorageWanted, typer.Option(help=STORAGE)] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything.")] = 0,
) -> None:
    """Make a project folder for one product."""
    from packshot import project

    made = project.new(
        folder,
        name=name or folder.resolve().name,
        class_noun=class_noun,
        trigger=trigger,
        base=base,
        storage=storage,
        seed=seed,
    )
    typer.echo(f"Project: {made.root}\nNext:    packshot photos FOLDER --project {made.root}")
