"""`packshot lora …`: LoRA files shown, converted, merged, resized, extracted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from packshot.cli.options import TARGETS
from packshot.types import TargetModules

if TYPE_CHECKING:
    from packshot.lora.edit import EditedLora

app = typer.Typer(no_args_is_help=True, help="Look at LoRA files; convert, merge, resize, extract.")

Out = Annotated[Path, typer.Argument(help="The file to write.")]
For = Annotated[str, typer.Option("--base", help='The checkpoint that it is for, or "pocket".')]
As = Annotated[Literal["kohya", "diffusers"], typer.Option(help="Which tools' key names.")]
Rank = Annotated[int | None, typer.Option(min=1, max=4096, help="Rank of the new file.")]


@app.command()
def info(file: Annotated[Path, typer.Argument(help="A LoRA file.")]) -> None:
    """Say what a LoRA file is; nothing but its header is read."""
    from packshot.lora.info import read_info

    found = read_info(file)
    ranks = ", ".join(f"{rank} ({count} modules)" for rank, count in found.ranks.items())
    parts = ", ".join(f"{name} {count}" for name, count in sorted(found.parts.items()))
    rows = {
        "kind": found.kind, "format": found.format, "family": found.family,
        "modules": f"{found.modules} ({parts})", "rank": ranks or "-", "values": f"{found.values:,}",
        **found.metadata,
    }  # fmt: skip
    for name, value in rows.items():
        typer.echo(f"{name:<24} {value}")


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A LoRA file.")],
    out: Out,
    base: For,
    format: As = "diffusers",
) -> None:
    """Write a LoRA in the other format."""
    from packshot.lora import load_lora, write_lora
    from packshot.lora.edit import EditedLora
    from packshot.models import load_base

    model = load_base(base)
    lora = load_lora(file, model)
    write_lora(lora, out, model, format)
    _say(out, EditedLora(lora, 1.0))


@app.command()
def merge(
    files: Annotated[list[str], typer.Argument(help="FILE:WEIGHT …, and last the file to write.")],
    base: For,
    rank: Rank = None,
    format: As = "kohya",
) -> None:
    """Add LoRAs up into one: exactly, or of a rank."""
    from packshot.cli.options import loras_of
    from packshot.lora import merge as merged
    from packshot.lora import write_lora
    from packshot.models import load_base

    model = load_base(base)
    made = merged(loras_of(files[:-1], model), model, rank)
    write_lora(made.lora, Path(files[-1]), model, format)
    _say(Path(files[-1]), made)


@app.command()
def resize(
    file: Annotated[Path, typer.Argument(help="A LoRA file.")],
    out: Out,
    base: For,
    rank: Rank = None,
    energy: Annotated[
        float | None, typer.Option(help="Share to keep of each module: 0.95.")
    ] = None,
    format: As = "kohya",
) -> None:
    """Make a LoRA smaller (or a standard LoRA of a LoHa, LoKr or DoRA)."""
    from packshot.lora import load_lora, write_lora
    from packshot.lora import resize as resized
    from packshot.models import load_base

    model = load_base(base)
    made = resized(load_lora(file, model), model, rank, energy)
    write_lora(made.lora, out, model, format)
    _say(out, made)


@app.command()
def extract(
    tuned: Annotated[str, typer.Argument(help="The fine-tuned checkpoint.")],
    out: Out,
    base: For,
    rank: Annotated[int, typer.Option(min=1, max=4096, help="Rank of the new file.")] = 32,
    target_modules: Annotated[TargetModules, typer.Option(help=TARGETS)] = "attention+mlp",
    format: As = "kohya",
) -> None:
    """Write what fine-tuning did to a checkpoint as a LoRA."""
    from packshot.lora import extract as extracted
    from packshot.lora import write_lora
    from packshot.models import load_base

    model = load_base(base)
    made = extracted(load_base(tuned), model, rank, target_modules)
    write_lora(made.lora, out, model, format)
    _say(out, made)


def _say(out: Path, made: EditedLora) -> None:
    ranks = {one.rank for one in made.lora.weights.values()}
    shown = f"{min(ranks)} to {max(ranks)}" if len(ranks) > 1 else str(*ranks)
    typer.echo(
        f"LoRA: {out}\n  {len(made.lora.weights)} modules, rank {shown}, {made.energy_kept:.2%} kept"
    )
