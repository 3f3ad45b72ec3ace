"""`packshot class-images`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import (
    ClassCount,
    ClassLicences,
    ClassMinSide,
    ClassQuery,
    ClassSources,
    Contact,
    EmbedderName,
    Here,
    OpenverseToken,
    ProjectFolder,
    base_of,
    comma_separated,
    project_at,
    sources_of,
)
from packshot.cli.terminal import echo

if TYPE_CHECKING:
    from packshot.project import Project


def class_images(
    project: ProjectFolder = Here,
    class_images: ClassSources = None,
    class_count: ClassCount = None,
    class_query: ClassQuery = None,
    class_licences: ClassLicences = None,
    class_min_side: ClassMinSide = None,
    contact: Contact = None,
    openverse_token: OpenverseToken = None,
    embedder: EmbedderName = None,
    offers: Annotated[
        bool,
        typer.Option("--offers", help="Only list what would be downloaded: authors and licences."),
    ] = False,
) -> None:
    """Collect images of the class (prior preservation), so that the base does not forget it.

    A CLIP trained on photographs (--embedder) leaves out images of other things.
    """
    from packshot.class_images import collect_class_images
    from packshot.class_images.online import download_class_images, plain_folder
    from packshot.cli.console import Console
    from packshot.errors import ClassImagesError
    from packshot.generation.embedders import BASE, NONE, embedder_of
    from packshot.plan.budget_fit import CLASS_IMAGES
    from packshot.project import save_choices
    from packshot.settings import choices_of
    from packshot.weights.consent import require_consent

    opened = project_at(project)
    save_choices(
        opened,
        choices_of(
            class_images=sources_of(class_images), class_count=class_count,
            class_query=class_query, class_licences=comma_separated(class_licences),
            class_min_side=class_min_side, embedder=embedder,
        ),
    )  # fmt: skip
    chosen = opened.settings
    require_consent(opened, "class_images")
    count = chosen.class_count or CLASS_IMAGES
    folder = plain_folder(chosen.class_images)
    if offers:
        if folder or chosen.class_images == ("base",):
            raise ClassImagesError(
                f"Nothing would be downloaded: {folder or 'the base makes the class images'}. --offers is "
                "for --class-images openverse, commons, or a list of URLs."
            )
        _offers(opened, count, contact, openverse_token)
        return
    with Console() as console:
        if folder or chosen.class_images == ("base",):
            base = None if folder else base_of(opened, console)
            images = collect_class_images(
                opened, base, count=count, folder=folder, progress=console.progress
            )
        else:
            spec = NONE if chosen.embedder in ("auto", BASE) else chosen.embedder
            require_consent(opened, embedder=spec)
            result = download_class_images(
                opened,
                chosen.class_images,
                count=count,
                words=chosen.class_query,
                licences=chosen.class_licences,
                min_side=chosen.class_min_side,
                contact=contact or chosen.contact,
                openverse_token=openverse_token,
                clip=embedder_of(spec, lambda: base_of(opened, console), console.progress),
                progress=console.progress,
            )
            images = result.images
            if result.refused:
                reasons = opened.class_images_refused_file
                console.say(f"{len(result.refused)} left out; {reasons} says why")
            for note in result.notes:
                console.say(f"note: {note}")
    echo(f"{len(images)} class images in {opened.class_images_folder}")


def _offers(project: Project, count: int, contact: str | None, token: str | None) -> None:
    from packshot.class_images.online import list_offers

    chosen = project.settings
    offers = list_offers(
        project,
        chosen.class_images,
        count=count,
        words=chosen.class_query,
        licences=chosen.class_licences,
        min_side=chosen.class_min_side,
        contact=contact or chosen.contact,
        openverse_token=token,
    )
    for offer in offers:
        echo(f"{offer.licence}  {offer.author}: {offer.title or 'untitled'}  {offer.source}")
    echo(f"{len(offers)} images are offered; none is fetched yet.")
