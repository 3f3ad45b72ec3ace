"""What the commands' options mean: projects, bases, LoRAs, layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from packshot.console import Console
    from packshot.project import Project
    from packshot.terms import Scope

ProjectFolder = Annotated[Path, typer.Option("--project", "-p", help="The project folder.")]
Kinds = Annotated[str, typer.Option(help="What to blur in them: faces, plates or both.")]
FaceModel = Annotated[
    Path | None, typer.Option(help="A YuNet model (ONNX), to find more faces than what is bundled.")
]
Language = Annotated[str, typer.Option(help="The shoot guide's: en or it.")]
Here = Path()
STORAGE = "How the frozen base lies in memory; auto: as it is, or else as it fits the GPU."
BASE = 'A checkpoint: a path, OWNER/NAME on the Hugging Face hub, or "pocket".'


def project_at(folder: Path) -> Project:
    from packshot.project import open_project

    return open_project(folder)


def base_of(project: Project, console: Console, other: str | None = None):  # type: ignore[no-untyped-def]
    from packshot.plan.fitting import load_for

    return load_for(project, other, console.progress)


def comma_separated(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def scope_of(text: str | None) -> Scope | None:
    """The layers that --targets names."""
    from typing import get_args

    from packshot.errors import PlanInvalid
    from packshot.terms import Scope

    if text is not None and text not in get_args(Scope):
        raise PlanInvalid(f"--targets {text}: choose one of {', '.join(get_args(Scope))}.")
    return text  # type: ignore[return-value]


def loras_of(given: list[str], base):  # type: ignore[no-untyped-def]
    """LoRAs with their weights, of FILE or FILE:WEIGHT."""
    from packshot.lora import load_lora

    loras = []
    for text in given:
        name, _, weight = text.rpartition(":")
        try:
            file, strength = (Path(name), float(weight)) if name else (Path(text), 1.0)
        except ValueError:
            file, strength = Path(text), 1.0
        loras.append((load_lora(file, base), strength))
    return loras
