"""What comes of it: shots, insertions, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from packshot.cli.options import Here, Language, ProjectFolder, base_of, loras_of, project_at


def shoot(
    prompts: Annotated[list[str] | None, typer.Argument(help="{subject} is the product.")] = None,
    project: ProjectFolder = Here,
    prompts_file: Annotated[
        Path | None, typer.Option("--prompts", help="One prompt a line.")
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(
            help="A LoRA file, or FILE:WEIGHT; several at once. Default: the project's own."
        ),
    ] = None,
    base: Annotated[str | None, typer.Option(help="Another checkpoint than the project's.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Pictures of each prompt.")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, max=1000)] = None,
    guidance: Annotated[float | None, typer.Option(min=0, max=50)] = None,
    negative: Annotated[str, typer.Option(help="What should not be there.")] = "",
    width: Annotated[int, typer.Option(min=0, help="Pixels; 0 is the base's own.")] = 0,
    height: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
) -> None:
    """Make pictures from prompts; without any, the usual ones, with the LoRA and without it."""
    from packshot.cli.console import Console
    from packshot.errors import PackshotError
    from packshot.generation import generate as shooting
    from packshot.generation.embedders import embedder_for
    from packshot.generation.prompts import default_prompts, read_prompts
    from packshot.utils.validation import validated

    opened = project_at(project)
    asked = [*(prompts or []), *(read_prompts(prompts_file) if prompts_file else [])]
    settings = validated(
        shooting.ShotSettings,
        PackshotError,
        seeds=tuple(range(first_seed, first_seed + seeds)),
        negative_prompt=negative,
        width=width,
        height=height,
        steps=steps,
        guidance_scale=guidance,
    )
    with Console() as console:
        model = base_of(opened, console, base)
        if not (asked or lora or base or out):
            from packshot.workflow.steps import shoot_all

            usual = list(opened.settings.prompts or default_prompts(opened.subject))
            judge = embedder_for(opened, lambda: model, console)
            sheet = shoot_all(opened, model, usual, settings, judge, console.progress)
            typer.echo(f"Sheet: {sheet}\nNext:  packshot report --project {opened.root}")
            return
        shots = list(
            shooting.shoot(
                model,
                asked or default_prompts(opened.subject),
                loras=loras_of(lora or [str(opened.lora_file)], model),
                settings=settings,
                folder=out or opened.shots_folder,
                subject=opened.subject,
                progress=console.progress,
            )
        )
    sheet = shooting.write_sheet(shots, (out or opened.shots_folder) / "sheet.png")
    typer.echo("\n".join(str(shot.file) for shot in shots) + f"\nSheet: {sheet}")


def insert(
    plate: Annotated[
        Path, typer.Argument(help="The photo; or a folder or a CSV of many (plate, box, at, …).")
    ],
    project: ProjectFolder = Here,
    box: Annotated[str | None, typer.Option(help="Where it goes, in pixels: x,y,w,h.")] = None,
    quad: Annotated[
        str | None, typer.Option(help="Corners of the ground that it covers: x1,y1,…,x4,y4.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="White where it goes.")] = None,
    at: Annotated[str | None, typer.Option(help='In words: "left, near".')] = None,
    view: Annotated[str | None, typer.Option(help="front, side, rear, …")] = None,
    way: Annotated[
        str, typer.Option(help="cut-out (a real photo) or generate (the LoRA).")
    ] = "cut-out",
    count: Annotated[int, typer.Option(min=1, max=64, help="Versions of each.")] = 1,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Only show where it could go.")
    ] = False,
    horizon: Annotated[float | None, typer.Option(help="Pixels from the top.")] = None,
    tall: Annotated[float, typer.Option(help="The product's height in metres, for --at.")] = 1.5,
    eye: Annotated[float, typer.Option(help="The camera's height in metres, for --at.")] = 1.6,
    light_from: Annotated[
        float | None, typer.Option(help="Degrees: 0 right, 90 behind it, 180 left, 270 the camera.")
    ] = None,
    light_height: Annotated[float | None, typer.Option(help="Degrees over the horizon.")] = None,
    light_hardness: Annotated[float | None, typer.Option(help="0 overcast to 1 clear sun.")] = None,
    reflection: Annotated[float, typer.Option(min=0, max=1, help="Of wet or glossy ground.")] = 0.0,
    refine: Annotated[
        float, typer.Option(min=0, max=0.8, help="How strongly the base goes over a cut-out's rim.")
    ] = 0.0,
    prompt: Annotated[str, typer.Option(help="To paint with.")] = "a photo of {subject}",
    lora: Annotated[list[str] | None, typer.Option(help="FILE:WEIGHT; default: its own.")] = None,
    base: Annotated[str | None, typer.Option(help="Another checkpoint than the project's.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
) -> None:
    """Put the product into a photo that is there already; all else in it stays as it is."""
    from packshot.errors import InsertionRefused
    from packshot.insertion import request
    from packshot.insertion.settings import InsertionSettings
    from packshot.utils.validation import validated

    opened = project_at(project)
    settings = validated(
        InsertionSettings, InsertionRefused,
        way=way, view=view, seed=seed, prompt=prompt, horizon=horizon,
        light_azimuth_degrees=light_from, light_elevation_degrees=light_height,
        light_hardness=light_hardness, reflection=reflection, refine=refine,
    )  # fmt: skip
    place = request.Place(box=box, quad=quad, mask=mask, at=at, tall_metres=tall, eye_metres=eye)
    if suggest:
        typer.echo(f"Places: {request.show_places(opened, plate, place, settings, out)}")
        return
    from packshot.cli.console import Console
    from packshot.generation.embedders import embedder_for

    with Console() as console:
        model, loras = None, []
        if way == "generate" or refine > 0:
            model = base_of(opened, console, base)
            given = lora or ([str(opened.lora_file)] if opened.lora_file.is_file() else [])
            loras = loras_of(given, model)
        judge = embedder_for(opened, lambda: model or base_of(opened, console), console)
        for made in request.insert_all(
            opened, plate, place, settings, count, out, model, loras, judge, console.progress
        ):
            missed = [check.name for check in made.checks if not check.passed]
            verdict = f"fails: {', '.join(missed)}" if missed else "all checks hold"
            console.say(f"{made.file}  ({verdict})")
            console.say(f"  sheet: {made.sheet}")


def report(project: ProjectFolder = Here, language: Language = "en") -> None:
    """Write report.html: everything of this project on one page."""
    from packshot.report import write_report

    typer.echo(f"Report: {write_report(project_at(project), language)}")
