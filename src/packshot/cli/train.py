"""Planning and training."""

from __future__ import annotations

from typing import Annotated

import typer

from packshot.cli.options import BASE, Here, ProjectFolder, base_of, project_at, scope_of


def plan(
    project: ProjectFolder = Here,
    budget: Annotated[str | None, typer.Option(help="Time for the training: 10m.")] = None,
    targets: Annotated[
        str | None, typer.Option(help="cross-attention, attention, attention+mlp or all.")
    ] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="The LoRA's rank.")] = None,
    class_share: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Class images' share of each batch.")
    ] = None,
    text_encoder: Annotated[
        bool, typer.Option("--text-encoder", help="Have the text encoders learn, too (CLIP's).")
    ] = False,
) -> None:
    """Calibrate on this machine and write plan.toml, to read and to edit."""
    from packshot.cli.console import Console
    from packshot.plan import Budget, make_plan
    from packshot.utils.durations import to_seconds

    opened = project_at(project)
    # What cannot be meant is told before the base is loaded.
    time = Budget.of_training(to_seconds(budget)) if budget else None
    scope = scope_of(targets)
    with Console() as console:
        made = make_plan(
            opened,
            base_of(opened, console),
            budget=time,
            targets=scope,
            rank=rank,
            class_image_share=class_share,
            text_encoder=text_encoder,
            measure_anew=True,
        )
        console.plan(made)
    typer.echo(f"Plan: {opened.plan_file}")


def fits(
    base: Annotated[str, typer.Argument(help=BASE + " Also a family's name: sdxl, flux1.")],
    gpu: Annotated[
        str | None, typer.Option(help="RTX 4090, L4, … By default what is here.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="Of the GPU: 16GB. By default all of it, or what is free here."),
    ] = None,
    pixels: Annotated[int | None, typer.Option(min=64, help="Side of the pictures.")] = None,
    targets: Annotated[str | None, typer.Option(help="Layers to adapt.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="The LoRA's rank.")] = None,
    text_encoder: Annotated[
        bool, typer.Option("--text-encoder", help="The text encoders learn, too.")
    ] = False,
) -> None:
    """Say how training on a checkpoint fits a GPU; nothing of it is loaded."""
    from packshot.cli.console import Console
    from packshot.plan.gpu_fit import outlook

    with Console() as console:
        told = outlook(
            base,
            gpu=gpu,
            memory=memory,
            pixels=pixels,
            targets=scope_of(targets),
            rank=rank,
            text_encoder=text_encoder,
            progress=console.progress,
        )
    typer.echo(told)


def train(
    project: ProjectFolder = Here,
    finish: Annotated[
        bool, typer.Option("--finish", help="End with what a training cut short has learnt.")
    ] = False,
) -> None:
    """Carry out plan.toml (made first if there is none); a run cut short goes on where it was."""
    from packshot.cli.console import Console
    from packshot.plan import make_plan, read_plan
    from packshot.training import Done, Stopped
    from packshot.training import train as train_events

    opened = project_at(project)
    if opened.plan_file.exists():
        read_plan(opened.plan_file)  # one that makes no sense is told before the base is loaded
    with Console() as console, console.stoppable():
        base = base_of(opened, console)
        if not opened.plan_file.exists():
            console.plan(make_plan(opened, base))
        event = None
        for event in train_events(opened, base, should_stop=console.should_stop, finish=finish):
            console.event(event)
    if isinstance(event, Stopped):
        raise typer.Exit(130)
    if isinstance(event, Done):
        typer.echo(f"LoRA: {event.lora_file}\n      {event.diffusers_lora_file}")
