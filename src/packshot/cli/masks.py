"""`packshot masks`."""

from __future__ import annotations

from typing import Annotated

import typer

from packshot.cli.options import Here, ProjectFolder, SegmenterName, project_at
from packshot.cli.terminal import PARTLY, echo


def masks(
    project: ProjectFolder = Here,
    segmenter: SegmenterName = None,
    overwrite_generated: Annotated[
        bool,
        typer.Option("--overwrite-generated", help="Also redo generated masks; never yours."),
    ] = False,
    review: Annotated[
        bool,
        typer.Option("--review", help="Write a page with each cut-out on white and on black."),
    ] = False,
) -> None:
    """Mask the product in each photo, so that training weighs the background less.

    Existing masks are kept.
    """
    from packshot.cli.console import Console
    from packshot.masks import mask_photos
    from packshot.masks.registry import fetch_notice, segmenter_of
    from packshot.project import save_choices
    from packshot.settings import choices_of
    from packshot.weights.consent import require_consent

    opened = project_at(project)
    with Console() as console:
        if not segmenter:
            require_consent(opened, "segmenter")
        chosen = segmenter or opened.settings.segmenter
        if notice := fetch_notice(chosen):
            console.say(notice)
        finder = segmenter_of("auto" if chosen == "none" else chosen, console.progress)
        save_choices(opened, choices_of(segmenter=segmenter))  # now that it is one
        result = mask_photos(
            opened, finder, console.progress, overwrite_generated=overwrite_generated
        )
        console.masked(result)
    count = sum(photo.mask is not None for photo in result.photos)
    echo(f"{count} masks in {opened.masks_folder}: look at them before you train.")
    if review:
        from packshot.report import write_mask_page

        echo(f"to review them: {write_mask_page(opened)}")
    if result.failed:
        raise typer.Exit(PARTLY)
