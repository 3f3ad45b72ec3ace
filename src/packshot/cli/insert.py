"""`packshot insert`: putting the product into an existing photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.options import LIGHT, Here, ProjectFolder, base_of, loras_of, project_at
from packshot.cli.terminal import PARTLY, echo
from packshot.types import SEEDS, InsertionMethod


def insert(
    background: Annotated[
        Path,
        typer.Argument(help="The photo; or a folder or a CSV of many (background, box, at, …)."),
    ],
    project: ProjectFolder = Here,
    box: Annotated[str | None, typer.Option(help="Where it goes, in pixels: x,y,w,h.")] = None,
    quad: Annotated[
        str | None, typer.Option(help="Corners of the ground that it covers: x1,y1,…,x4,y4.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="An image, white where it goes.")] = None,
    at: Annotated[str | None, typer.Option(help='In words: "left, near".')] = None,
    behind: Annotated[
        str | None,
        typer.Option(help="A mask of what stands before it; or auto: what the segmenter finds."),
    ] = None,
    view: Annotated[str | None, typer.Option(help="front, side, rear, …")] = None,
    photo: Annotated[
        str | None, typer.Option(help="The photo to cut out. Default: the one that fits best.")
    ] = None,
    method: Annotated[
        InsertionMethod,
        typer.Option(help="composite: cut out of a real photo; inpaint: painted by the LoRA."),
    ] = "composite",
    count: Annotated[int, typer.Option(min=1, max=64, help="Versions of each.")] = 1,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Only show where it could go.")
    ] = False,
    horizon: Annotated[
        float | None, typer.Option(help="Pixels from the top. Default: estimated.")
    ] = None,
    tall: Annotated[
        float | None,
        typer.Option(
            "--tall",
            "--product-height",
            help="The product's height in metres, for --at. Default: as its class usually is.",
        ),
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(
            help="Something of known size in the photo, for --at: x1,y1,x2,y2=METRES, foot and top."
        ),
    ] = None,
    camera_height: Annotated[
        float | None,
        typer.Option(help="The camera's height over the ground in metres, for --at."),
    ] = None,
    light_azimuth: Annotated[
        float | None,
        typer.Option(
            help="Direction the light comes from, seen from above, in degrees: 0 right, 90 behind the "
            "product, 180 left, 270 the camera." + LIGHT
        ),
    ] = None,
    light_elevation: Annotated[
        float | None, typer.Option(help="Degrees over the horizon." + LIGHT)
    ] = None,
    light_hardness: Annotated[
        float | None, typer.Option(help="0 overcast to 1 clear sun." + LIGHT)
    ] = None,
    reflection: Annotated[float, typer.Option(min=0, max=1, help="Of wet or glossy ground.")] = 0.0,
    refine: Annotated[
        float,
        typer.Option(
            min=0, max=0.8, help="Denoising strength to refine a composite's edges with the base."
        ),
    ] = 0.0,
    prompt: Annotated[str, typer.Option(help="Prompt to inpaint with.")] = "a photo of {subject}",
    lora: Annotated[
        list[str] | None, typer.Option(help="FILE:WEIGHT; default: the project's.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Another checkpoint than the project's.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS - 1, help="The first version's seed.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Of one background: what to call the results.")
    ] = None,
) -> None:
    """Put the product into an existing photo; the rest of the photo is unchanged.

    Of many, exit code 3 says that some could not be made; it is said which, and why.
    """
    from packshot.errors import InsertionError
    from packshot.insertion import request
    from packshot.insertion.settings import InsertionSettings
    from packshot.utils.validation import validated

    opened = project_at(project)
    settings = validated(
        InsertionSettings, InsertionError,
        method=method, view=view, photo=photo, seed=seed, prompt=prompt, horizon=horizon,
        light_azimuth_degrees=light_azimuth, light_elevation_degrees=light_elevation,
        light_hardness=light_hardness, reflection=reflection, refine=refine,
    )  # fmt: skip
    place = request.PlacementRequest(
        box=box, quad=quad, mask=mask, at=at, behind=behind,
        product_height_metres=tall, camera_height_metres=camera_height, known=known,
    )  # fmt: skip
    if suggest:
        echo(f"Places: {request.show_places(opened, background, place, settings, out)}")
        return
    from packshot.cli.console import Console
    from packshot.generation.embedders import embedder_for
    from packshot.generation.prompts import notes_on

    with Console() as console:
        model, loras = None, []
        refused: dict[str, str] = {}
        if method == "inpaint" or refine > 0:
            model = base_of(opened, console, base)
            given = lora or ([str(opened.lora_file)] if opened.lora_file.is_file() else [])
            loras = loras_of(given, model)
            for note in notes_on(model, [opened.subject.fill(prompt)]):
                console.say(note)
        embedder = embedder_for(opened, lambda: model or base_of(opened, console), console)
        for result in request.insert_all(
            opened, background, place, settings, count, out, model, loras, embedder,
            console.progress, refused, name,
        ):  # fmt: skip
            missed = [check.name for check in result.checks if not check.passed]
            verdict = f"fails: {', '.join(missed)}" if missed else "all checks passed"
            console.say(f"{result.file}  ({verdict})")
            for note in result.notes:
                console.say(f"  note: {note}")
            console.say(f"  sheet: {result.sheet}")
        for name, reason in refused.items():
            console.say(f"not made: {name}: {reason}")
    if refused:
        raise typer.Exit(PARTLY)
