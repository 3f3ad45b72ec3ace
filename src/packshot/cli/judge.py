"""`packshot judge` and `packshot choose`: which checkpoint of which run, at which weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import Here, ProjectFolder, base_of, project_at
from packshot.cli.terminal import echo, typed, visible
from packshot.errors import PackshotError

if TYPE_CHECKING:
    from packshot.cli.console import Console
    from packshot.judging.candidate import Candidate
    from packshot.judging.comparison import Comparison
    from packshot.judging.dreambooth import DreamBoothRow
    from packshot.judging.judge import Judge
    from packshot.models import DiffusionModel
    from packshot.project import Project

_NAME = 16
"""Columns of the terminal for a candidate: a run's name is told whole."""
_NARROWEST = 7
"""Columns for a measure: its mean, and each end of its interval, fit into a line."""


def judge(
    project: ProjectFolder = Here,
    weight: Annotated[
        list[float] | None,
        typer.Option(help="A weight to try; several if you like. Default: 0.6, 0.8 and 1."),
    ] = None,
    lora: Annotated[
        list[Path] | None, typer.Option(help="A LoRA file from elsewhere, to compare with.")
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(
            help="Another checkpoint, to see what is proposed on it; several if you like."
        ),
    ] = None,
    identity: Annotated[
        str,
        typer.Option(
            help="What tells the product from others: auto, bundled, base, or a DINO, SigLIP or CLIP: a "
            "folder, or OWNER/NAME of the hub."
        ),
    ] = "auto",
    most_drift: Annotated[
        float | None, typer.Option(min=0, help="The most prediction drift that is accepted.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=64, help="Pictures of each prompt; default 3.")
    ] = None,
    dreambooth: Annotated[
        bool, typer.Option("--dreambooth", help="Also DreamBooth's table, of what is proposed.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write all of it, with every value.")
    ] = None,
) -> None:
    """Measure each run's checkpoints at several weights, and propose the most faithful one."""
    from packshot.cli.console import Console
    from packshot.judging.candidate import WEIGHTS
    from packshot.judging.candidates import propose_candidate, score_candidates, sources_of
    from packshot.judging.choice import MOST_DRIFT, Limits
    from packshot.judging.comparison import Comparison, score_on
    from packshot.utils import overwriting, serialization

    if json_file:
        overwriting.refuse_others(json_file)
    opened, weights = project_at(project), weight or WEIGHTS
    with Console() as console:
        judging = _judge(opened, base_of(opened, console), identity, seeds, console)
        if dreambooth:
            _require_clip(judging)
        sources = sources_of(judging, lora or ())
        scored = score_candidates(judging, weights, sources, console.progress)
        limits = Limits(drift=MOST_DRIFT if most_drift is None else most_drift)
        proposed = propose_candidate(judging, limits)
        rows = _dreambooth(judging, proposed.candidate) if dreambooth and proposed else {}
        wanted = (proposed.candidate.run, proposed.candidate.step) if proposed else None
        taken = {
            origin: file
            for origin, file in sources.items()
            if file in (lora or ()) or origin == wanted
        }
        others = {name: partial(base_of, opened, console, name) for name in base or ()}
        plain, unfit = judging.without, None
        try:
            abroad, without = score_on(judging, others, weights, taken, console.progress)
        except PackshotError as error:
            # What was measured on the project's own base took minutes: it is shown first.
            abroad, without, unfit = [], {}, error
    found = Comparison([*scored, *abroad], {"": plain, **without}, proposed, rows)
    _show(judging, found)
    if rows:
        _show_dreambooth(judging, rows)
    if json_file:
        text = serialization.as_json(found.facts(), indent=2) + "\n"
        overwriting.write_result(json_file, text.encode())
    if proposed:
        one = proposed.candidate
        at = "" if one.step is None else f" --step {one.step}"
        echo(f"Proposed: {proposed.why}")
        echo(
            f"Next:  packshot choose {one.run}{at} --weight {one.weight:g} "
            f"--project {typed(opened.root)}"
        )
    if unfit:
        raise unfit


def _judge(
    project: Project, base: DiffusionModel, identity: str, seeds: int | None, console: Console
) -> Judge:
    from packshot.generation.embedders import embedder_for, identity_embedder_for
    from packshot.judging.judge import judge_for

    embedder = identity_embedder_for(project, lambda: base, console, identity)
    similarity = embedder_for(project, lambda: base, console)
    made = judge_for(project, base, embedder, similarity, console)
    return replace(made, effort=replace(made.effort, seeds=seeds)) if seeds else made


def _show(judging: Judge, found: Comparison) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from packshot.judging.candidate import chosen_candidate
    from packshot.judging.comparison import MEASURES
    from packshot.judging.intervals import interval

    now = chosen_candidate(judging.project)
    rows = []
    for one in found.candidates:
        is_now = not one.base and (one.run, one.step, one.weight) == now
        cells = [str(one.interval(measure) or "") for measure in MEASURES]
        rows.append((one.name + " (the project's)" * is_now, cells))
    for base, plain in found.without.items():
        cells = [str(interval(plain[name])) if plain.get(name) else "" for name in MEASURES]
        rows.append(("without a LoRA" + f" on {base}" * bool(base), cells))
    console = Console()
    told = [at for at in range(len(MEASURES)) if any(cells[at] for _, cells in rows)]
    # Rich cuts off what is left over when each column has shrunk to its longest word.
    each = max(_NARROWEST, (console.width - _NAME - 4) // max(1, len(told)) - 3)
    headings = list(MEASURES.values())
    table = Table(
        Column("candidate", overflow="fold", min_width=_NAME),
        *(Column(headings[at], overflow="fold", max_width=each) for at in told),
        caption=escape(visible(f"measured by {judging.embedder.name}")),
    )
    for name, cells in rows:
        table.add_row(escape(visible(name)), *(cells[at] for at in told))
    console.print(table)


def _require_clip(judging: Judge) -> None:
    if judging.similarity is None:
        raise PackshotError(
            "There is no CLIP to measure DreamBooth's table with: set embedder in packshot.toml."
        )


def _dreambooth(judging: Judge, candidate: Candidate) -> dict[str, DreamBoothRow]:
    from packshot.judging.candidates import pictures_with
    from packshot.judging.dreambooth import DreamBooth
    from packshot.photos.photo_set import list_photos

    assert judging.similarity is not None
    project = judging.project
    table = DreamBooth(judging.whole, judging.similarity, list_photos(project), project.subject)
    return {
        "real images": table.real_images(),
        candidate.name: table.row(*pictures_with(judging, candidate)),
        "without a LoRA": table.row(*pictures_with(judging, None)),
    }


def _show_dreambooth(judging: Judge, rows: Mapping[str, DreamBoothRow]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    assert judging.similarity is not None
    caption = (
        f"DINO, PRES and diversity by {judging.whole.name}, CLIP-I and CLIP-T by "
        f"{judging.similarity.name}. Diversity is 1 - cosine of images of one prompt, not the paper's LPIPS"
    )
    headings = ("", "DINO", "CLIP-I", "CLIP-T", "PRES", "diversity")
    table = Table(*headings, caption=escape(visible(caption)))
    for name, row in rows.items():
        values = (row.dino, row.clip_i, row.clip_t, row.pres, row.diversity)
        table.add_row(
            escape(visible(name)), *("" if value is None else str(value) for value in values)
        )
    Console().print(table)


def choose(
    run: Annotated[str, typer.Argument(help="The run's folder, such as 20260101-120000.")],
    project: ProjectFolder = Here,
    weight: Annotated[float, typer.Option(help="Folded into the files.")] = 1.0,
    step: Annotated[
        int | None, typer.Option(min=1, help="Of a checkpoint that the run kept; default: its end.")
    ] = None,
) -> None:
    """Make a run's LoRA the project's."""
    from packshot.cli.console import Console
    from packshot.judging.chosen import choose_candidate

    opened = project_at(project)
    with Console() as console:
        choose_candidate(opened, run, weight, lambda: base_of(opened, console), step)
    echo(f"LoRA: {opened.lora_file}\nNext:  packshot shoot --project {typed(opened.root)}")
