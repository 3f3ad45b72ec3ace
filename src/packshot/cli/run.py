"""`packshot run`, all steps in order, and `packshot new`, which creates a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.options import (
    BASE,
    WEIGHT_STORAGE,
    Assistant,
    Blur,
    CaptionerName,
    ClassCount,
    ClassLicences,
    ClassMinSide,
    ClassQuery,
    ClassSources,
    Contact,
    EmbedderName,
    Finish,
    ImageFormat,
    ImageQuality,
    OpenverseToken,
    SegmenterName,
    TimeBudget,
    Yes,
    assistant_of,
    comma_separated,
    plates_of,
    sources_of,
)
from packshot.cli.terminal import echo, typed
from packshot.types import WeightStorageChoice

_NEW = " (of a new project)"


def run(
    photos: Annotated[Path, typer.Argument(help="Folder with photos of one product.")],
    class_noun: Annotated[
        str | None, typer.Option("--class", help=f"What kind of thing it is: car, watch{_NEW}.")
    ] = None,
    name: Annotated[str | None, typer.Option(help=f"The product's name{_NEW}.")] = None,
    base: Annotated[str | None, typer.Option(help=BASE)] = None,
    weight_storage: Annotated[WeightStorageChoice | None, typer.Option(help=WEIGHT_STORAGE)] = None,
    assistant: Assistant = None,
    time_budget: TimeBudget = None,
    early_stopping: Annotated[
        bool | None,
        typer.Option(
            "--early-stopping/--no-early-stopping",
            help="Training ends when it is done (default), or at the plan's last step.",
        ),
    ] = None,
    choose: Annotated[
        bool | None,
        typer.Option(
            "--choose/--no-choose",
            help="The LoRA is the most faithful checkpoint, at the best weight (default), or the end.",
        ),
    ] = None,
    prompts_file: Annotated[
        Path | None, typer.Option(help="One prompt a line; {subject} is the product.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="The project folder.")
    ] = None,
    trigger: Annotated[
        str | None, typer.Option(help=f"The token for the product in prompts{_NEW}: ohwx.")
    ] = None,
    captioner: CaptionerName = None,
    segmenter: SegmenterName = None,
    embedder: EmbedderName = None,
    blur: Blur = None,
    class_images: ClassSources = None,
    class_count: ClassCount = None,
    class_query: ClassQuery = None,
    class_licences: ClassLicences = None,
    class_min_side: ClassMinSide = None,
    contact: Contact = None,
    openverse_token: OpenverseToken = None,
    images_per_prompt: Annotated[
        int | None, typer.Option(min=1, max=64, help="Images of each prompt; default 2.")
    ] = None,
    image_format: ImageFormat = None,
    image_quality: ImageQuality = None,
    plates: Annotated[
        str | None,
        typer.Option(help='Photos to put the product into: a folder or a CSV; "none" for none.'),
    ] = None,
    provenance: Annotated[
        bool | None,
        typer.Option("--provenance/--no-provenance", help="Pictures say, signed, what they are."),
    ] = None,
    tell_prompt: Annotated[
        bool | None, typer.Option("--tell-prompt/--no-tell-prompt", help="… and their prompt, too.")
    ] = None,
    watermark: Annotated[
        bool | None,
        typer.Option("--watermark/--no-watermark", help="… and an identifier in their pixels."),
    ] = None,
    rights: Annotated[
        str | None, typer.Option(help="Your rights to the photos, in words, for the LoRA's card.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the whole project.")] = None,
    yes: Yes = False,
    finish: Finish = False,
) -> None:
    """Run all steps: photos, captions, masks, insertions, class images, plan, training, shots, report.

    The options are saved in packshot.toml and stay valid until they are changed. The same command
    resumes where it was stopped, and does nothing when everything is done.
    """
    from packshot.cli.console import Console
    from packshot.generation.prompts import read_prompts
    from packshot.settings import choices_of
    from packshot.workflow import end_to_end

    choices = choices_of(
        base=base, weight_storage=weight_storage, time_budget=time_budget,
        early_stopping=early_stopping, choose=choose, captioner=captioner, segmenter=segmenter,
        embedder=embedder,
        blur=comma_separated(blur),
        class_images=sources_of(class_images), class_count=class_count, class_query=class_query,
        class_licences=comma_separated(class_licences), class_min_side=class_min_side,
        prompts=tuple(read_prompts(prompts_file)) if prompts_file else None,
        images_per_prompt=images_per_prompt, image_format=image_format,
        image_quality=image_quality, seed=seed, assistant=assistant_of(assistant),
        plates=plates_of(plates), provenance=provenance, tell_prompt=tell_prompt,
        watermark=watermark,
        rights=None if rights is None else {"photos": rights},
    )  # fmt: skip
    with Console(yes=yes) as console, console.stoppable():
        result = end_to_end.run(
            photos,
            root=project,
            name=name,
            class_noun=class_noun,
            trigger=trigger,
            choices=choices,
            contact=contact,
            openverse_token=openverse_token,
            finish=finish,
            observer=console,
        )
    if result.stopped:
        raise typer.Exit(console.exit_code)
    if result.was_complete:
        echo("Nothing to do: all results are there, and nothing they depend on has changed.")
    echo(f"LoRA:    {result.project.lora_file}\nReport:  {result.report_file}")


def new(
    folder: Annotated[Path, typer.Argument(help="The project folder to make.")],
    class_noun: Annotated[str, typer.Option("--class", help="What kind of thing it is.")],
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    trigger: Annotated[str, typer.Option(help="The token for the product in prompts.")] = "ohwx",
    base: Annotated[str, typer.Option(help=BASE)] = "pocket",
    weight_storage: Annotated[WeightStorageChoice, typer.Option(help=WEIGHT_STORAGE)] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything.")] = 0,
) -> None:
    """Create a project folder for one product."""
    from packshot.project import create_project

    project = create_project(
        folder,
        name=name or folder.resolve().name,
        class_noun=class_noun,
        trigger=trigger,
        base=base,
        weight_storage=weight_storage,
        seed=seed,
    )
    echo(
        f"Project: {project.root}\nNext:    packshot photos FOLDER --project {typed(project.root)}"
    )
