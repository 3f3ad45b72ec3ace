"""What a LoRA is learnt from: photos, masks, class images, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.options import (
    BASE,
    ClassCount,
    ClassLicences,
    ClassMinSide,
    ClassSources,
    ClassWords,
    Contact,
    EmbedderName,
    FaceModel,
    Here,
    Kinds,
    Language,
    OpenverseToken,
    ProjectFolder,
    SegmenterName,
    base_of,
    comma_separated,
    project_at,
    sources_of,
)

if TYPE_CHECKING:
    from packshot.project import Project


def photos(
    source: Annotated[
        Path, typer.Argument(help="Folder with photos, videos and ZIPs; or one of them.")
    ],
    project: ProjectFolder = Here,
    blur: Kinds = None,
    face_model: FaceModel = None,
    frames: Annotated[int, typer.Option(min=1, help="How many are taken of a video.")] = 12,
    language: Language = "en",
) -> None:
    """Check photos of the product and take them in; the others are refused with a reason."""
    from packshot.cli.console import Console
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
    typer.echo(f"{len(accepted.photos)} photos accepted, {len(accepted.refused)} refused.")
    _echo_guide(opened, language)


def blur(
    project: ProjectFolder = Here,
    what: Annotated[
        str, typer.Option(help="What to blur: faces, plates or both.")
    ] = "faces,plates",
    face_model: FaceModel = None,
) -> None:
    """Blur faces and number plates in the project's photos; yours stay as they are."""
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
    typer.echo("Look at the photos before you show them: not everything is found.")


def guide(project: ProjectFolder = Here, language: Language = "en") -> None:
    """Say what the photos lack, and how to take what is missing."""
    _echo_guide(project_at(project), language)


def _echo_guide(project: Project, language: str) -> None:
    from packshot.photos.guide import shoot_guide

    for item in shoot_guide(project, language):
        typer.echo(f"- {item.missing}. {item.advice}")


def masks(
    project: ProjectFolder = Here,
    segmenter: SegmenterName = None,
    redo: Annotated[
        bool, typer.Option("--redo", help="Also make anew what a segmenter found; never yours.")
    ] = False,
) -> None:
    """Find the product in each photo, so that its surroundings count less; masks that stand are kept."""
    from packshot.cli.console import Console
    from packshot.masks import mask_photos
    from packshot.masks.registry import segmenter_of
    from packshot.project import choices_of, choose

    opened = project_at(project)
    with Console() as console:
        chosen = segmenter or opened.settings.segmenter
        finder = segmenter_of("auto" if chosen == "none" else chosen, console.progress)
        choose(opened, choices_of(segmenter=segmenter))  # now that it is one
        masked = mask_photos(opened, finder, console.progress, redo=redo)
        console.masked(masked)
    count = sum(photo.mask is not None for photo in masked.photos)
    typer.echo(f"{count} masks in {opened.masks_folder}: look at them before you train.")


def class_images(
    project: ProjectFolder = Here,
    class_images: ClassSources = None,
    class_count: ClassCount = None,
    class_words: ClassWords = None,
    class_licences: ClassLicences = None,
    class_min_side: ClassMinSide = None,
    contact: Contact = None,
    openverse_token: OpenverseToken = None,
    embedder: EmbedderName = None,
) -> None:
    """Gather pictures of the class, so that the model keeps knowing what any such thing is.

    A CLIP that has seen photographs (--embedder) leaves out what is not of the class.
    """
    from packshot.class_images import gather_class_images
    from packshot.class_images.online import gather_online, plain_folder
    from packshot.cli.console import Console
    from packshot.generation.embedders import BASE, NONE, embedder_of
    from packshot.plan.planner import CLASS_IMAGES
    from packshot.project import choices_of, choose

    opened = project_at(project)
    choose(
        opened,
        choices_of(
            class_images=sources_of(class_images), class_count=class_count,
            class_words=class_words, class_licences=comma_separated(class_licences),
            class_min_side=class_min_side, embedder=embedder,
        ),
    )  # fmt: skip
    chosen = opened.settings
    count = chosen.class_count or CLASS_IMAGES
    folder = plain_folder(chosen.class_images)
    with Console() as console:
        if folder or chosen.class_images == ("base",):
            base = base_of(opened, console)
            images = gather_class_images(
                opened, base, count=count, folder=folder, progress=console.progress
            )
        else:
            spec = NONE if chosen.embedder in ("auto", BASE) else chosen.embedder
            gathered = gather_online(
                opened,
                chosen.class_images,
                count=count,
                words=chosen.class_words,
                licences=chosen.class_licences,
                min_side=chosen.class_min_side,
                contact=contact or chosen.contact,
                openverse_token=openverse_token,
                clip=embedder_of(spec, lambda: base_of(opened, console), console.progress),
                progress=console.progress,
            )
            images = gathered.images
            if gathered.refused:
                told = opened.class_images_refused_file
                console.say(f"{len(gathered.refused)} left out; {told} says why")
            for note in gathered.notes:
                console.say(f"note: {note}")
    typer.echo(f"{len(images)} class images in {opened.class_images_folder}")


def import_dataset(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A folder, --dataset_config or table of captions (.json, .jsonl, .csv)."
        ),
    ],
    project: ProjectFolder = Here,
    class_noun: Annotated[
        str | None, typer.Option("--class", help="What kind of thing it is, if it does not say.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The product's name.")] = None,
    trigger: Annotated[
        str | None, typer.Option(help="The token that means the product, if it does not say.")
    ] = None,
    base: Annotated[str | None, typer.Option(help=BASE)] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of a table's pictures, if it lies elsewhere.")
    ] = None,
) -> None:
    """Fill a project, made if there is none, with a dataset of kohya's or a Hugging Face imagefolder."""
    from packshot import datasets
    from packshot.cli.console import Console

    with Console() as console:
        imported = datasets.import_dataset(
            dataset,
            project,
            class_noun=class_noun,
            name=name,
            trigger=trigger,
            base=base,
            images=images,
            progress=console.progress,
        )
        console.refused(imported.refused)
        for note in imported.notes:
            console.say(f"note: {note}")
    with_caption, with_mask = (
        sum(getattr(photo, kind) is not None for photo in imported.photos)
        for kind in ("caption", "mask")
    )
    typer.echo(
        f"{len(imported.photos)} photos accepted ({with_caption} with captions, {with_mask} with "
        f"masks), {len(imported.refused)} refused; {len(imported.class_images)} class images."
    )


def export_dataset(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    project: ProjectFolder = Here,
    format: Annotated[str, typer.Option(help="kohya or imagefolder.")] = "kohya",
) -> None:
    """Write photos, captions, masks and class images as another trainer's dataset."""
    from packshot import datasets
    from packshot.cli.console import Console

    with Console() as console:
        written = datasets.export_dataset(
            project_at(project), out, format=format, progress=console.progress
        )
    typer.echo(f"Dataset: {written}")
