"""`packshot photos`, `blur` and `photo-guide`: the photos of the product."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import (
    Blur,
    FaceModel,
    Here,
    Language,
    ProjectFolder,
    comma_separated,
    project_at,
)
from packshot.cli.terminal import echo

if TYPE_CHECKING:
    from packshot.project import Project


def photos(
    source: Annotated[
        list[Path],
        typer.Argument(
            help="Folder with photos, videos and ZIPs; or one of them; several if you like."
        ),
    ],
    project: ProjectFolder = Here,
    blur: Blur = None,
    face_model: FaceModel = None,
    frames: Annotated[int, typer.Option(min=1, help="Most frames taken from a video.")] = 12,
    language: Language = "en",
) -> None:
    """Add photos of the product that pass the checks; others are refused with a reason."""
    from packshot.cli.console import Console
    from packshot.images.refusals import count_refused
    from packshot.photos.anonymize import blur_photos, detectors
    from packshot.photos.guide import words_of
    from packshot.photos.photo_set import add_photos

    opened = project_at(project)
    kinds = comma_separated(blur) or ()
    # What cannot be done is told before photos are taken.
    detectors(kinds, face_model)
    words_of(language)
    with Console() as console:
        accepted = add_photos(opened, source, console.progress, frames=frames)
        console.refused(accepted.refused)
        if kinds:
            blurred = blur_photos(opened, kinds, face_model=face_model, progress=console.progress)
            console.blurred(blurred)
    echo(f"{len(accepted.photos)} photos accepted, {count_refused(accepted.refused)} refused.")
    _echo_guide(opened, language)


def blur(
    project: ProjectFolder = Here,
    what: Annotated[
        str, typer.Option(help="What to blur: faces, license-plates, or both.")
    ] = "faces,license-plates",
    face_model: FaceModel = None,
) -> None:
    """Blur faces and license plates in the project's photos; your originals are unchanged."""
    from packshot.cli.console import Console
    from packshot.photos.anonymize import blur_photos

    with Console() as console:
        blurred = blur_photos(
            project_at(project),
            comma_separated(what) or (),
            face_model=face_model,
            progress=console.progress,
        )
        console.blurred(blurred)
    echo("Look at the photos before you show them: not everything is found.")


def photo_guide(project: ProjectFolder = Here, language: Language = "en") -> None:
    """List the photos that are missing, and how to take them."""
    _echo_guide(project_at(project), language)


def _echo_guide(project: Project, language: str) -> None:
    from packshot.photos import guide

    for item in guide.photo_guide(project, language):
        echo(f"- {item.missing}. {item.advice}")
