"""`packshot lora …`: describing, converting, merging, resizing and extracting LoRA files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from packshot.cli.options import TARGETS
from packshot.cli.terminal import echo
from packshot.types import TargetModules
from packshot.utils import overwriting

if TYPE_CHECKING:
    from packshot.lora.edit import EditedLora
    from packshot.lora.files import Format
    from packshot.models.diffusion_model import DiffusionModel

app = typer.Typer(
    no_args_is_help=True, help="Describe, convert, merge, resize, extract LoRA files."
)

Out = Annotated[Path, typer.Argument(help="The file to write.")]
For = Annotated[str, typer.Option("--base", help='The checkpoint that it is for, or "pocket".')]
As = Annotated[Literal["kohya", "diffusers"], typer.Option(help="Format of the keys.")]
Rank = Annotated[int | None, typer.Option(min=1, max=4096, help="Rank of the new file.")]


@app.command()
def info(file: Annotated[Path, typer.Argument(help="A LoRA file.")]) -> None:
    """Describe a LoRA file; only its header is read."""
    from packshot.images import sidecars
    from packshot.lora.info import read_info

    details = read_info(file)
    ranks = ", ".join(f"{rank} ({count} modules)" for rank, count in details.ranks.items())
    parts = ", ".join(f"{name} {count}" for name, count in sorted(details.parts.items()))
    rows = {
        "kind": details.kind, "format": details.format, "family": details.family,
        "modules": f"{details.modules} ({parts})", "rank": ranks or "-", "values": f"{details.values:,}",
    }  # fmt: skip
    for name, value in (rows | details.metadata).items():
        echo(f"{name:<24} {sidecars.one_line(str(value))}")


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A LoRA file.")],
    out: Out,
    base: For,
    format: As = "diffusers",
) -> None:
    """Write a LoRA in the other format."""
    from packshot.cli.options import lora_of
    from packshot.lora.edit import EditedLora
    from packshot.models import load_base

    overwriting.refuse_others(out)
    model = load_base(base)
    _write(EditedLora(lora_of(file, model), 1.0), out, model, format)


@app.command()
def merge(
    files: Annotated[list[str], typer.Argument(help="FILE:WEIGHT …, and last the file to write.")],
    base: For,
    rank: Rank = None,
    format: As = "kohya",
) -> None:
    """Merge LoRAs into one: exactly, or approximated at a rank."""
    from packshot.cli.options import loras_of
    from packshot.lora import merge as merged
    from packshot.models import load_base

    out = Path(files[-1])
    overwriting.refuse_others(out)
    model = load_base(base)
    edited = merged(loras_of(files[:-1], model), model, rank)
    _write(edited, out, model, format)


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
    """Reduce a LoRA's rank (or convert a LoHa, LoKr or DoRA to a standard LoRA)."""
    from packshot.cli.options import lora_of
    from packshot.lora import resize as resized
    from packshot.models import load_base

    overwriting.refuse_others(out)
    model = load_base(base)
    edited = resized(lora_of(file, model), model, rank, energy)
    _write(edited, out, model, format)


@app.command()
def extract(
    tuned: Annotated[str, typer.Argument(help="The fine-tuned checkpoint.")],
    out: Out,
    base: For,
    rank: Annotated[int, typer.Option(min=1, max=4096, help="Rank of the new file.")] = 32,
    target_modules: Annotated[TargetModules, typer.Option(help=TARGETS)] = "attention+mlp",
    format: As = "kohya",
) -> None:
    """Write the difference of a fine-tuned checkpoint from its base as a LoRA."""
    from packshot.lora import extract as extracted
    from packshot.models import find_checkpoint, load_base
    from packshot.models.precision import comparing_dtype

    overwriting.refuse_others(out)
    dtype = comparing_dtype(find_checkpoint(base).family)
    model = load_base(base, dtype=dtype)
    edited = extracted(load_base(tuned, dtype=dtype), model, rank, target_modules)
    _write(edited, out, model, format)


def _write(edited: EditedLora, out: Path, base: DiffusionModel, format: Format) -> None:
    from packshot.lora import write_lora

    write_lora(edited.lora, out, base, format, is_result=True)
    ranks = {weights.rank for weights in edited.lora.weights.values()}
    rank = f"{min(ranks)} to {max(ranks)}" if len(ranks) > 1 else str(*ranks)
    echo(
        f"LoRA: {out}\n  {len(edited.lora.weights)} modules, rank {rank}, {edited.energy_kept:.2%} kept"
    )
