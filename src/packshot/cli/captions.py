"""`packshot caption`: writing, reviewing, replacing and locking captions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import CaptionerName, Yes
from packshot.cli.terminal import PARTLY, echo, typed, visible

if TYPE_CHECKING:
    from packshot.captions import EditedCaptions
    from packshot.project import Project

Names = Annotated[list[str] | None, typer.Option(metavar="PHOTO", help="Several if you like.")]


def caption(
    project: Annotated[Path, typer.Option("--project", "-p", help="The project folder.")] = Path(),
    captioner: CaptionerName = None,
    overwrite_generated: Annotated[
        bool,
        typer.Option("--overwrite-generated", help="Also redo generated captions; never yours."),
    ] = False,
    apply: Annotated[
        Path | None, typer.Option(help="Read edited captions and locks from this table.")
    ] = None,
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=>NEW", help="In all captions; several if you like."),
    ] = None,
    regex: Annotated[bool, typer.Option("--regex", help="OLD is a regular expression.")] = False,
    lock: Names = None,
    unlock: Names = None,
    review: Annotated[
        bool, typer.Option("--review", help="Write captions.csv and captions.html; show a table.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Caption each photo; existing captions are kept.

    With only --apply, --replace, --lock, --unlock or --review no photo is captioned. Several are done
    in this order: unlock, caption, apply, replace, lock, review. A locked caption is never changed.
    """
    from packshot import captions
    from packshot.captions.edit import rule_of
    from packshot.photos.photo_set import list_photos
    from packshot.project import open_project

    opened = open_project(project)
    rules = [rule_of(text) for text in replace or []]
    edits = bool(apply or rules or lock or unlock)
    if unlock:
        captions.unlock_captions(opened, unlock)
    is_whole = True
    if overwrite_generated or captioner or not (edits or review):
        is_whole = _caption(opened, captioner, overwrite_generated, yes)
    if apply:
        _say(captions.apply_caption_table(opened, apply))
    if rules:
        _say(captions.replace_in_captions(opened, rules, regex=regex))
    if lock:
        captions.lock_captions(opened, lock)
    if review:
        _review(opened)
    else:
        for photo in list_photos(opened, {}):
            mark = " (locked)" if photo.caption_locked else ""
            echo(f"{photo.file.name}: {photo.caption or ''}{mark}")
    if not is_whole:
        raise typer.Exit(PARTLY)


def _caption(project: Project, chosen: str | None, overwrite_generated: bool, yes: bool) -> bool:
    """Caption the photos; whether all of them could be."""
    from packshot.captions import caption_photos
    from packshot.captions.registry import AUTO, captioner_of, settle_captioner
    from packshot.cli.console import Console
    from packshot.decisions import Decisions
    from packshot.models import has_clip
    from packshot.plan.load_base import load_project_base
    from packshot.project import save_choices
    from packshot.settings import choices_of
    from packshot.weights.consent import require_consent

    with Console(yes=yes) as console:
        settings = project.settings
        spec = chosen or settings.captioner
        if spec == AUTO:
            own_clip, decisions = has_clip(settings.base), Decisions(project, console.say)
            spec = settle_captioner(spec, settings.base, own_clip, decisions, console)
        if not chosen:
            require_consent(project, captioner=spec)
        captioner = captioner_of(
            spec,
            base=lambda: load_project_base(project, progress=console.progress),
            progress=console.progress,
        )
        save_choices(project, choices_of(captioner=chosen))  # now that it is one
        refused: dict[str, str] = {}
        caption_photos(
            project,
            progress=console.progress,
            captioner=captioner,
            overwrite_generated=overwrite_generated,
            refused=refused,
        )
        for name, reason in refused.items():
            console.say(f"no caption made for {name}: {reason}")
    return not refused


def _say(edited: EditedCaptions) -> None:
    for note in edited.notes:
        echo(f"note: {note}", err=True)
    count = len(edited.changed)
    echo(f"{count} caption{'s' * (count != 1)} changed.")


def _review(project: Project) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from packshot.captions import write_caption_table
    from packshot.photos.photo_set import list_photos
    from packshot.report import write_caption_page

    file, page = write_caption_table(project), write_caption_page(project)
    table = Table("file", "caption", "locked", "source")
    for photo in list_photos(project):
        cells = (photo.file.name, photo.caption or "", "yes" if photo.caption_locked else "no")
        table.add_row(*(escape(visible(cell)) for cell in (*cells, photo.caption_by or "")))
    Console().print(table)
    following = f"packshot caption -p {typed(project.root)} --apply {typed(file)}"
    echo(f"Table: {file}\nPage:  {page}\nNext:  {following}")
