"""Options that several commands share, and their parsing: projects, bases, LoRAs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from packshot.cli.terminal import echo

if TYPE_CHECKING:
    from packshot.cli.console import Console
    from packshot.project import Project

BASE = 'A checkpoint: a path, OWNER/NAME on the Hugging Face hub, or "pocket".'
TARGETS = "Layers that the LoRA adapts."
WEIGHT_STORAGE = (
    "Precision of the frozen base's weights, or offload to main memory; auto: the first of them that "
    "fits the GPU."
)
RANK = "The LoRA's rank."
TRAIN_TEXT_ENCODER = "Train the text encoders too (CLIP's)."
ASSISTANT = (
    "A LoRA beside the base while yours is learnt, left out of pictures and of yours: the training "
    "adapter of a base with few steps. A file, or none."
)
LIGHT = " Default: estimated from the background."

ProjectFolder = Annotated[Path, typer.Option("--project", "-p", help="The project folder.")]
Here = Path()
Blur = Annotated[
    str | None, typer.Option(help="What to blur in them: faces, license-plates, or both.")
]
FaceModel = Annotated[
    Path | None, typer.Option(help="A YuNet model (ONNX), to find more faces than the bundled one.")
]
Language = Annotated[str, typer.Option(help="The photo guide's: en or it.")]
ImageFormat = Annotated[
    Literal["png", "jpeg", "webp"] | None,
    typer.Option(help="Of the images; default: packshot.toml's, png."),
]
ImageQuality = Annotated[
    int | None, typer.Option(min=1, max=100, help="Of JPEG and WebP; default: packshot.toml's, 95.")
]
TimeBudget = Annotated[str | None, typer.Option(help="Time for everything: 10m, 1h30m.")]
CaptionerName = Annotated[
    str | None,
    typer.Option(
        help="auto, plain, clip, blip, florence, qwen-vl, wd, or its model: a folder, or OWNER/NAME "
        "of the hub; also NAME:MODEL."
    ),
]
SegmenterName = Annotated[
    str | None,
    typer.Option(
        help="auto, none, bundled, onnx (birefnet, isnet, u2net), sam2, or its model: an .onnx file, a "
        "folder, OWNER/NAME of the hub; also NAME:MODEL."
    ),
]
EmbedderName = Annotated[
    str | None,
    typer.Option(
        help="The CLIP or SigLIP for the scores: a folder, or OWNER/NAME of the hub; base, none, auto."
    ),
]
ClassSources = Annotated[
    list[str] | None,
    typer.Option(
        "--class-images",
        help="base (it generates them), a folder, or, several if you like: openverse, commons, a file "
        "of URLs, img2dataset's folder.",
    ),
]
ClassCount = Annotated[int | None, typer.Option(min=1, help="How many class images.")]
ClassQuery = Annotated[
    str | None, typer.Option(help="Class images online: what to search for; default: the class.")
]
ClassLicences = Annotated[
    str | None,
    typer.Option(help="Class images online: cc0, pdm, by (default), by-sa, by-nd, by-nc, …"),
]
ClassMinSide = Annotated[
    int | None,
    typer.Option(min=64, help="Class images online: pixels of the shorter side; default 512."),
]
Contact = Annotated[
    str | None,
    typer.Option(
        envvar="PACKSHOT_CONTACT",
        help="Class images online: your e-mail or URL, for the sites asked.",
    ),
]
OpenverseToken = Annotated[
    str | None,
    typer.Option(
        envvar="PACKSHOT_OPENVERSE_TOKEN", help="Class images online: for more requests a day."
    ),
]
Assistant = Annotated[str | None, typer.Option(help=ASSISTANT, metavar="FILE")]
Yes = Annotated[bool, typer.Option("--yes", help="Download the offered models without asking.")]
Finish = Annotated[
    bool, typer.Option("--finish", help="End an interrupted training and keep its LoRA.")
]


def project_at(folder: Path) -> Project:
    """The project of `--project`.

    Raises:
        ProjectError: as `open_project`; or the option was forgotten where there is no project.
    """
    from packshot.errors import ProjectError
    from packshot.project import Project, open_project

    if folder == Here and not Project(folder).settings_file.is_file():
        raise ProjectError(
            "There is no Packshot project in this folder. Name yours with --project FOLDER (-p), or make "
            "one: packshot new FOLDER --class car"
        )
    return open_project(folder)


def base_of(project: Project, console: Console, other: str | None = None):  # type: ignore[no-untyped-def]
    from packshot.plan.load_base import load_project_base

    return load_project_base(project, other, console.progress)


def as_text(words: str) -> str:
    """Words of the command line, also of a terminal that writes no UTF-8."""
    from packshot.images import sidecars

    try:
        words.encode()
    except UnicodeEncodeError:
        return sidecars.decode(os.fsencode(words))
    return words


def comma_separated(text: str | None) -> tuple[str, ...] | None:
    """The comma-separated values of an option; None if it was not given."""
    if text is None:
        return None
    return tuple(word.strip() for word in text.split(",") if word.strip())


def sources_of(given: list[str] | None) -> tuple[str, ...] | None:
    """The sources of --class-images, repeated or with commas; None if it was not given."""
    if not given:
        return None
    parts = ([source] if Path(source).exists() else source.split(",") for source in given)
    return tuple(word.strip() for part in parts for word in part if word.strip())


def assistant_of(given: str | None) -> str | None:
    """The setting for --assistant: an absolute path, as it is read in later starts, or "none".

    Raises:
        LoraError: there is no such file.
    """
    if given is None or given == "none":
        return given
    if not Path(given).is_file():
        from packshot.errors import LoraError

        raise LoraError(
            f"There is no file {given}, which --assistant names. None: --assistant none."
        )
    return str(Path(given).absolute())


def plates_of(given: str | None) -> str | None:
    """The setting for --plates: an absolute path, as it is read in later starts, or "none".

    Raises:
        InsertionError: there is no such folder or table.
    """
    if given is None or given == "none":
        return given
    path = Path(given)
    if not (path.is_dir() or (path.is_file() and path.suffix.lower() == ".csv")):
        from packshot.errors import InsertionError

        raise InsertionError(
            f"There is no folder or CSV table {given}, which --plates names. None: --plates none."
        )
    return str(path.absolute())


def loras_of(given: list[str], base):  # type: ignore[no-untyped-def]
    """LoRAs with their weights, of FILE or FILE:WEIGHT.

    Raises:
        LoraError: as `check_strength`, or as `load_lora`.
    """
    from packshot.lora.weights import check_strength

    loras = []
    for text in given:
        name, _, weight = text.rpartition(":")
        try:
            file, strength = (Path(name), float(weight)) if name else (Path(text), 1.0)
        except ValueError:
            file, strength = Path(text), 1.0
        check_strength(text, strength)
        loras.append((lora_of(file, base), strength))
    return loras


def lora_of(file: Path, base):  # type: ignore[no-untyped-def]
    """A LoRA, saying what of its file is left out; raises as `load_lora`."""
    from packshot.lora import load_lora

    lora = load_lora(file, base)
    if lora.left_out:
        echo(
            f"{file}: the LoRA is used, but not the {len(lora.left_out)} embeddings that were trained "
            f"along, such as '{lora.left_out[0]}'."
        )
    return lora
