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
    base_of,
    loras_of,
    project_at,
)
from packshot.cli.terminal import echo
from packshot.types import SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packshot.generation.generate import GeneratedImage
    from packshot.lora import Lora


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
        int, typer.Option(min=1, max=10_000, help="Images of each prompt.")
    ] = 1,
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
    from packshot.cli.console import Console
    from packshot.errors import PackshotError
    from packshot.generation import generate
    from packshot.generation.embedders import embedder_for
    from packshot.generation.prompts import default_prompts, read_prompts
    from packshot.utils import files
    from packshot.utils.validation import validated

    opened = project_at(project)
    asked = [*(prompts or []), *(read_prompts(prompts_file) if prompts_file else [])]
    settings = validated(
        generate.GenerationSettings,
        PackshotError,
        seeds=tuple(range(first_seed, first_seed + images_per_prompt)),
        negative_prompt=negative_prompt,
        width=width,
        height=height,
        steps=steps,
        guidance_scale=guidance_scale,
        format=image_format or opened.settings.image_format,
        quality=image_quality or opened.settings.image_quality,
    )
    is_usual = not (asked or lora or base or out)
    page = (out or opened.shots_folder) / "sheet.png"
    if not is_usual:
        files.refuse_others(page)
    with Console() as console:
        model = base_of(opened, console, base)
        if is_usual:
            from packshot.workflow.steps import shoot_all

            usual = list(opened.settings.prompts or default_prompts(opened.subject))
            embedder = embedder_for(opened, lambda: model, console)
            sheet = shoot_all(opened, model, usual, settings, embedder, console)
            echo(f"Sheet: {sheet}\nNext:  packshot report --project {opened.root}")
            return
        folder = out or opened.shots_folder
        used = loras_of(lora or [str(opened.lora_file)], model)

        def made(loras: Sequence[tuple[Lora, float]], place: Path) -> list[GeneratedImage]:
            return list(
                generate.generate_images(
                    model, asked or default_prompts(opened.subject), loras=loras, settings=settings,
                    folder=place, subject=opened.subject, progress=console.progress, say=console.say,
                    marking=opened.marking,
                )
            )  # fmt: skip

        images = made(used, folder)
        if compare:
            made([], folder / "without")
    sheet = generate.write_sheet(images, page, marking=opened.marking)
    echo("\n".join(str(image.file) for image in images) + f"\nSheet: {sheet}")
