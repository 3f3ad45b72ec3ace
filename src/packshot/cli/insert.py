"""`packshot insert`: putting the product into an existing photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import (
    LIGHT,
    Here,
    ProjectFolder,
    as_text,
    base_of,
    loras_of,
    project_at,
)
from packshot.cli.terminal import PARTLY, echo
from packshot.types import SEEDS, InsertionMethod

if TYPE_CHECKING:
    from packshot.cli.console import Console
    from packshot.insertion.insert import Insertion
    from packshot.insertion.request import Tools
    from packshot.project import Project

Background = Annotated[
    Path, typer.Argument(help="The photo; or a folder or a CSV of many (background, box, at, …).")
]
Box = Annotated[str | None, typer.Option(help="Where it goes, in pixels: x,y,w,h.")]
Quad = Annotated[
    str | None, typer.Option(help="Corners of the ground that it covers: x1,y1,…,x4,y4.")
]
Mask = Annotated[Path | None, typer.Option(help="An image, white where it goes.")]
At = Annotated[str | None, typer.Option(help='In words: "left, near".')]
Behind = Annotated[
    str | None,
    typer.Option(help="A mask of what stands before it; or auto: what the segmenter finds."),
]
View = Annotated[str | None, typer.Option(help="front, side, rear, …")]
PhotoName = Annotated[
    str | None, typer.Option(help="The photo to cut out. Default: the one that fits best.")
]
Method = Annotated[
    InsertionMethod,
    typer.Option(help="composite: cut out of a real photo; inpaint: painted by the LoRA."),
]
Count = Annotated[int, typer.Option(min=1, max=64, help="Versions, of one background.")]
Suggest = Annotated[bool, typer.Option("--suggest", help="Only show where it could go.")]
Horizon = Annotated[float | None, typer.Option(help="Pixels from the top. Default: estimated.")]
Tall = Annotated[
    float | None,
    typer.Option(
        "--tall", "--product-height",
        help="The product's height in metres, for --at. Default: as its class usually is.",
    ),
]  # fmt: skip
Known = Annotated[
    str | None,
    typer.Option(
        help="Something of known size in the photo, for --at: x1,y1,x2,y2=METRES, foot and top."
    ),
]
CameraHeight = Annotated[
    float | None, typer.Option(help="The camera's height over the ground in metres, for --at.")
]
LightAzimuth = Annotated[
    float | None,
    typer.Option(
        help="Direction the light comes from, seen from above, in degrees: 0 right, 90 behind the "
        "product, 180 left, 270 the camera." + LIGHT
    ),
]
LightElevation = Annotated[float | None, typer.Option(help="Degrees over the horizon." + LIGHT)]
LightHardness = Annotated[float | None, typer.Option(help="0 overcast to 1 clear sun." + LIGHT)]
Reflection = Annotated[float, typer.Option(min=0, max=1, help="Of wet or glossy ground.")]
Refine = Annotated[
    float,
    typer.Option(
        min=0, max=0.8, help="Denoising strength to refine a composite's edges with the base."
    ),
]
Prompt = Annotated[str, typer.Option(help="Prompt to inpaint with.")]
Loras = Annotated[list[str] | None, typer.Option(help="FILE:WEIGHT; default: the project's.")]
Base = Annotated[str | None, typer.Option(help="Another checkpoint than the project's.")]
Seed = Annotated[int, typer.Option(min=0, max=SEEDS - 1, help="The first version's seed.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.")]
Name = Annotated[str | None, typer.Option(help="Of one background: what to call the results.")]


def insert(
    background: Background, project: ProjectFolder = Here, box: Box = None, quad: Quad = None,
    mask: Mask = None, at: At = None, behind: Behind = None, view: View = None,
    photo: PhotoName = None, method: Method = "composite", count: Count = 1,
    suggest: Suggest = False, horizon: Horizon = None, tall: Tall = None, known: Known = None,
    camera_height: CameraHeight = None, light_azimuth: LightAzimuth = None,
    light_elevation: LightElevation = None, light_hardness: LightHardness = None,
    reflection: Reflection = 0.0, refine: Refine = 0.0, prompt: Prompt = "a photo of {subject}",
    lora: Loras = None, base: Base = None, seed: Seed = 0, out: Out = None, name: Name = None,
) -> None:  # fmt: skip
    """Put the product into an existing photo; the rest of the photo is unchanged.

    Of many, exit code 3 says that some could not be made; it is said which, and why.
    """
    from packshot.cli.console import Console
    from packshot.errors import InsertionError
    from packshot.insertion import request
    from packshot.insertion.settings import InsertionSettings
    from packshot.utils.validation import validated

    opened, prompt = project_at(project), as_text(prompt)
    if method == "inpaint" and (photo is not None or reflection or refine):
        raise InsertionError(
            "--photo, --reflection and --refine are of cut-outs; with --method inpaint the base paints all "
            "of it. Leave them out."
        )
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
    refused: dict[str, str] = {}
    with Console() as console:
        needs_base = method == "inpaint" or refine > 0
        tools = _tools(opened, console, base, lora, prompt, needs_base)
        for result in request.insert_all(
            opened, background, place, settings, count, out, **vars(tools),
            progress=console.progress, refused=refused, name=name,
        ):  # fmt: skip
            _tell(console, result)
        for refused_name, reason in refused.items():
            console.say(f"not made: {refused_name}: {reason}")
    if refused:
        raise typer.Exit(PARTLY)


def _tools(
    project: Project, console: Console, base: str | None, loras: list[str] | None, prompt: str,
    needs_base: bool,
) -> Tools:  # fmt: skip
    """The base and the LoRAs, if they are needed, and what measures likeness."""
    from packshot.generation.embedders import embedder_for
    from packshot.generation.prompts import notes_on
    from packshot.insertion.request import Tools

    if not needs_base:
        return Tools(embedder=embedder_for(project, lambda: base_of(project, console), console))
    model = base_of(project, console, base)
    given = loras or ([str(project.lora_file)] if project.lora_file.is_file() else [])
    read = loras_of(given, model)
    for note in notes_on(model, [project.subject.fill(prompt)]):
        console.say(note)
    return Tools(model, read, embedder_for(project, lambda: model, console))


def _tell(console: Console, result: Insertion) -> None:
    """Say which file it is, what fails, and what is to be known of it."""
    missed = [check.name for check in result.checks if not check.passed]
    verdict = f"fails: {', '.join(missed)}" if missed else "all checks passed"
    console.say(f"{result.file}  ({verdict})")
    for note in result.notes:
        console.say(f"  note: {note}")
    console.say(f"  sheet: {result.sheet}")
