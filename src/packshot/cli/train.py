"""`packshot plan`, `memory` and `train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import (
    BASE,
    RANK,
    TARGETS,
    TRAIN_TEXT_ENCODER,
    Assistant,
    Finish,
    Here,
    ProjectFolder,
    assistant_of,
    base_of,
    project_at,
)
from packshot.cli.terminal import echo
from packshot.types import MAX_RANK, TargetModules

if TYPE_CHECKING:
    from packshot.models import DiffusionModel
    from packshot.project import Project

Targets = Annotated[TargetModules | None, typer.Option(help=TARGETS)]
Rank = Annotated[int | None, typer.Option(min=1, max=MAX_RANK, help=RANK)]
TrainTextEncoder = Annotated[bool, typer.Option("--train-text-encoder", help=TRAIN_TEXT_ENCODER)]


def plan(
    project: ProjectFolder = Here,
    time_budget: Annotated[str | None, typer.Option(help="Time for the training: 10m.")] = None,
    target_modules: Targets = None,
    rank: Rank = None,
    class_image_ratio: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Class images' share of each batch.")
    ] = None,
    train_text_encoder: TrainTextEncoder = False,
    assistant: Assistant = None,
    processes: Annotated[
        int,
        typer.Option(min=1, help="How many train together (accelerate launch), each with a GPU."),
    ] = 1,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Only show what each time budget would buy of the recipe."),
    ] = False,
    keep_measurements: Annotated[
        bool, typer.Option("--keep-measurements", help="Do not time again what was timed before.")
    ] = False,
) -> None:
    """Time a few training steps on this machine and write plan.toml, to read and to edit."""
    from packshot.captions.length import check_class_lengths, check_lengths
    from packshot.class_images import list_class_images
    from packshot.cli.console import Console
    from packshot.errors import InvalidPlanError
    from packshot.photos.photo_set import list_photos
    from packshot.plan import Budget, make_plan
    from packshot.plan.assistant import assistant_file, choose_assistant
    from packshot.plan.notes import notes_on
    from packshot.utils.durations import to_seconds

    opened = project_at(project)
    # What cannot be meant is told before the base is loaded.
    budget = Budget.of_training(to_seconds(time_budget)) if time_budget else None
    given = {
        "--time-budget": time_budget is not None,
        "--target-modules": target_modules is not None,
        "--rank": rank is not None,
        "--class-image-ratio": class_image_ratio is not None,
        "--train-text-encoder": train_text_encoder,
        "--processes": processes > 1,
    }
    if compare and (unused := ", ".join(name for name, is_given in given.items() if is_given)):
        raise InvalidPlanError(f"--compare is of the recipe: leave out {unused}.")
    chosen = assistant_of(assistant)
    with Console() as console:
        base = base_of(opened, console)
        if chosen:
            choose_assistant(opened, base, chosen)
        photos, has_assistant = list_photos(opened), assistant_file(opened) is not None
        told = notes_on(base, photos, opened.subject, has_assistant=has_assistant)
        prompts = {image.file.name: image.prompt for image in list_class_images(opened)}
        long = check_lengths(photos, opened.subject, base) + check_class_lengths(prompts, base)
        for note in (*told, *long):
            console.say(note)
        if compare:
            _compare(opened, base, measure_anew=not keep_measurements)
            return
        new_plan = make_plan(
            opened,
            base,
            budget=budget,
            target_modules=target_modules,
            rank=rank,
            class_image_ratio=class_image_ratio,
            train_text_encoder=train_text_encoder,
            measure_anew=not keep_measurements,
            processes=processes,
        )
        console.plan(new_plan)
    echo(f"Plan: {opened.plan_file}")


def _compare(project: Project, base: DiffusionModel, *, measure_anew: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from packshot.plan import compare_budgets
    from packshot.utils.durations import in_words

    table = Table("time", "steps", "of the recipe", "size", "memory", "disk")
    for one in compare_budgets(project, base, measure_anew=measure_anew).choices:
        table.add_row(
            in_words(one.seconds), str(one.steps), f"{one.share:.0%}", f"{one.resolution} px",
            f"{one.bytes / 2**30:.1f} GiB", f"{one.disk_bytes / 2**30:.1f} GiB",
        )  # fmt: skip
    Console().print(table)


def memory(
    base: Annotated[str, typer.Argument(help=BASE + " Also a family's name: sdxl, flux1.")],
    gpu: Annotated[
        str | None, typer.Option(help="RTX 4090, L4, … By default what is here.")
    ] = None,
    vram: Annotated[
        str | None,
        typer.Option(help="The GPU's memory: 16GB. By default all of it, or what is free here."),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=64, help="Side of the training images in pixels.")
    ] = None,
    target_modules: Targets = None,
    rank: Rank = None,
    train_text_encoder: TrainTextEncoder = False,
) -> None:
    """Estimate the GPU memory that training on a base needs, without loading it."""
    from packshot.cli.console import Console

    with Console() as console:
        console.progress("memory options", 0, 3)  # importing the libraries alone takes seconds
        from packshot.plan.gpu_fit import gpu_fit_text

        text = gpu_fit_text(
            base,
            gpu=gpu,
            vram=vram,
            resolution=resolution,
            target_modules=target_modules,
            rank=rank,
            train_text_encoder=train_text_encoder,
            progress=console.progress,
        )
    echo(text)


def train(
    project: ProjectFolder = Here,
    finish: Finish = False,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Go on to the plan's last step after it ended before.")
    ] = False,
) -> None:
    """Train as plan.toml says (made if missing). Resumes an interrupted run."""
    from packshot.cli.console import Console
    from packshot.errors import ProcessLostError, TrainingDivergedError
    from packshot.plan import make_plan, read_plan
    from packshot.training import Done, Stopped
    from packshot.training import train as train_events
    from packshot.training.processes import joined

    opened = project_at(project)
    if opened.plan_file.exists():
        read_plan(opened.plan_file)  # one that makes no sense is told before the base is loaded
    event = None
    with joined() as processes:
        is_first = processes.is_first
        try:
            with Console(quiet=not is_first) as console, console.stoppable():
                with processes.in_turn():
                    base = base_of(opened, console)
                    if not opened.plan_file.exists():
                        console.plan(make_plan(opened, base, processes=processes.count))
                for event in train_events(
                    opened, base, should_stop=console.should_stop, finish=finish, go_on=go_on,
                    processes=processes,
                ):  # fmt: skip
                    console.event(event)
        except (ProcessLostError, TrainingDivergedError, SystemExit):
            if is_first:
                raise
            raise typer.Exit(1) from None  # the first tells of it
    if isinstance(event, Stopped) and is_first:
        raise typer.Exit(console.exit_code)
    if isinstance(event, Done) and is_first:
        echo(f"LoRA: {event.lora_file}\n      {event.diffusers_lora_file}")
