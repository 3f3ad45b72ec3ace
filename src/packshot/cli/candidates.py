"""`packshot candidates` and `packshot choose`: which run's LoRA, at which weight."""

from __future__ import annotations

from typing import Annotated

import typer

from packshot.cli.options import Here, ProjectFolder, base_of, project_at
from packshot.cli.terminal import echo


def candidates(
    project: ProjectFolder = Here,
    weight: Annotated[
        list[float] | None,
        typer.Option(help="A weight to try; several if you like. Default: 0.6, 0.8 and 1."),
    ] = None,
) -> None:
    """Make pictures with each run's LoRA at several weights, and measure likeness and class drift."""
    from packshot.cli.console import Console
    from packshot.errors import PackshotError
    from packshot.generation.candidates import WEIGHTS, chosen_candidate, score_candidates
    from packshot.generation.embedders import embedder_for

    opened = project_at(project)
    with Console() as console:
        base = base_of(opened, console)
        similarity = embedder_for(opened, lambda: base, console)
        if similarity is None:
            raise PackshotError("There is no CLIP to measure with: set embedder in packshot.toml.")
        scored = score_candidates(opened, base, similarity, weight or WEIGHTS, console.progress)
    now = chosen_candidate(opened)
    for one in scored:
        if one.likeness is not None and one.drift is not None:
            mark = "  (the project's)" if (one.run, one.weight) == now else ""
            echo(
                f"{one.run} at {one.weight:g}: likeness {one.likeness:.3f}, class drift {one.drift:.3f}{mark}"
            )
    echo(f"Next:  packshot choose RUN --weight WEIGHT --project {opened.root}")


def choose(
    run: Annotated[str, typer.Argument(help="The run's folder, such as 20260101-120000.")],
    project: ProjectFolder = Here,
    weight: Annotated[float, typer.Option(help="Folded into the files.")] = 1.0,
) -> None:
    """Make a run's LoRA the project's."""
    from packshot.cli.console import Console
    from packshot.generation.candidates import choose_candidate

    opened = project_at(project)
    with Console() as console:
        choose_candidate(opened, run, weight, lambda: base_of(opened, console))
    echo(f"LoRA: {opened.lora_file}\nNext:  packshot shoot --project {opened.root}")
