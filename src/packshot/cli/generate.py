"""`packshot shoot`: images from prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import (
    Here,
    ImageFormat,
    ImageQuality,
    ProjectFolder,
    as_text,
    base_of,
    loras_of,
    project_at,
)
from packshot.cli.terminal import echo, typed
from packshot.types import SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packshot.generation.generate import GeneratedImage, GenerationSettings
    from packshot.lora import Lora
    from packshot.project import Project


def shoot(
    prompts: Annotated[list[str] | None, typer.Argument(help="{subject} is the product.")] = None,
    project: ProjectFolder = Here,
    prompts_file: Annotated[Path | None, typer.Option(help="One prompt a line.")] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(
            help="A LoRA file, or FILE:WEIGHT; several at once. Default: the project's own."
        ),
    ] = None,
    base: Annotated[str | None, typer.Option(help="Another checkpoint than the project's.")] = None,
    images_per_prompt: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Images of each prompt. Default: 1; for the report, as packshot.toml says.",
        ),
    ] = None,
    first_seed: Annotated[
        int, typer.Option(min=0, max=SEEDS - 1, help="The first image's seed.")
    ] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Denoising steps; default: the base's own.")
    ] = None,
    guidance_scale: Annotated[
        float | None,
        typer.Option("--guidance-scale", "--cfg", min=0, max=50, help="Default: the base's own."),
    ] = None,
    image_format: ImageFormat = None,
    image_quality: ImageQuality = None,
    negative_prompt: Annotated[str, typer.Option(help="What should not be in the images.")] = "",
    width: Annotated[int, typer.Option(min=0, help="Pixels; 0 is the base's own.")] = 0,
    height: Annotated[int, typer.Option(min=0, help="Pixels; 0 is the base's own.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the images.")] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Also the same without the LoRA, into its folder `without`."
        ),
    ] = False,
) -> None:
    """Generate images of the product from prompts; by default usual ones, with and without the LoRA."""
    from packshot.errors import PackshotError
    from packshot.generation.generate import GenerationSettings
    from packshot.generation.prompts import read_prompts
    from packshot.utils.validation import validated

    opened = project_at(project)
    asked = [*map(as_text, prompts or []), *(read_prompts(prompts_file) if prompts_file else [])]
    is_for_the_report = not (asked or lora or base or out)
    usual = opened.settings.images_per_prompt if is_for_the_report else 1
    settings = validated(
        GenerationSettings,
        PackshotError,
        seeds=tuple(range(first_seed, first_seed + (images_per_prompt or usual))),
        negative_prompt=as_text(negative_prompt),
        width=width,
        height=height,
        steps=steps,
        guidance_scale=guidance_scale,
        format=image_format or opened.settings.image_format,
        quality=image_quality or opened.settings.image_quality,
    )
    if is_for_the_report:
        _shoot_for_the_report(opened, settings)
    else:
        asked = asked or _prompts_of(opened)
        _shoot(opened, asked, settings, base, lora, out or opened.shots_folder, compare=compare)


def _prompts_of(project: Project) -> list[str]:
    from packshot.generation.prompts import default_prompts

    return list(project.settings.prompts or default_prompts(project.subject))


def _require_lora(project: Project) -> None:
    from packshot.errors import LoraError

    if not project.lora_file.is_file():
        raise LoraError(
            f"{project.root} has no LoRA yet. Train one (packshot train --project {typed(project.root)}), "
            "or name one: --lora FILE."
        )


def _shoot_for_the_report(project: Project, settings: GenerationSettings) -> None:
    """The project's prompts, with and without its LoRA, and their scores."""
    from packshot.cli.console import Console
    from packshot.generation.embedders import embedder_for
    from packshot.workflow.steps import shoot_all

    _require_lora(project)
    with Console() as console:
        model = base_of(project, console)
        embedder = embedder_for(project, lambda: model, console)
        prompts = _prompts_of(project)
        sheet = shoot_all(project, model, prompts, settings, embedder, console)
        echo(f"Sheet: {sheet}\nNext:  packshot report --project {typed(project.root)}")


def _shoot(
    project: Project,
    prompts: Sequence[str],
    settings: GenerationSettings,
    base: str | None,
    loras: list[str] | None,
    folder: Path,
    *,
    compare: bool,
) -> None:
    """Images of prompts into a folder, and a sheet of them; see the options of `shoot`."""
    from packshot.cli.console import Console
    from packshot.generation.generate import generate_images, write_sheet
    from packshot.generation.prompts import without_subject
    from packshot.utils import overwriting

    page = folder / "sheet.png"
    overwriting.refuse_others(page)
    if not loras:
        _require_lora(project)
    with Console() as console:
        if not loras:
            for prompt in without_subject(project.subject, prompts):
                console.say(
                    f"note: “{prompt}” does not ask for the product, which may not be in the image: write "
                    "{subject} where it shall be"
                )
        model = base_of(project, console, base)

        def made(loras: Sequence[tuple[Lora, float]], place: Path) -> list[GeneratedImage]:
            return list(
                generate_images(
                    model, prompts, loras=loras, settings=settings, folder=place,
                    subject=project.subject, progress=console.progress, say=console.say,
                    marking=project.marking,
                )
            )  # fmt: skip

        images = made(loras_of(loras or [str(project.lora_file)], model), folder)
        if compare:
            made([], folder / "without")
    sheet = write_sheet(images, page, marking=project.marking)
    echo("\n".join(str(image.file) for image in images) + f"\nSheet: {sheet}")
