"""What a LoRA is learnt from: photos, masks, class images, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli.values import (
    BASE,
    FaceModel,
    Here,
    Kinds,
    Language,
    ProjectFolder,
    base_of,
    comma_separated,
    project_at,
)

if TYPE_CHECKING:
    from packshot.project import Project


def photos(
    source: Annotated[
        Path, typer.Argument(help="Folder with photos, videos and ZIPs; or one of them.")
    ],
    project: ProjectFolder = Here,
    blur: Kinds = "",
    face_model: FaceModel = None,
    frames: Annotated[int, typer.Option(min=1, help="How many are taken of a video.")] = 12,
    language: Language = "en",
) -> None:
    """Check photos of the product and take them in; the others are refused with a reason."""
    from packshot.blur import blur_photos, detectors
    from packshot.console import Console
    from packshot.guide import words_of
    from packshot.photos import add_photos

    opened = project_at(project)
    kinds = comma_separated(blur)
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
    from packshot.blur import blur_photos
    from packshot.console import Console

    with Console() as console:
        blurred = blur_photos(
            project_at(project),
            comma_separated(what),
            face_model=face_model,
            progress=console.progress,
        )
        console.blurred(blurred)
    typer.echo("Look at the photos before you show them: not everything is found.")


def guide(project: ProjectFolder = Here, language: Language = "en") -> None:
    """Say what the photos lack, and how to take what is missing."""
    _echo_guide(project_at(project), language)


def _echo_guide(project: Project, language: str) -> None:
    from packshot.guide import shoot_guide

    for item in shoot_guide(project, language):
        typer.echo(f"- {item.missing}. {item.advice}")


def masks(
    project: ProjectFolder = Here,
    segmenter: Annotated[
        str,
        typer.Option(
            help="auto (the best that is found), embedded, onnx (or its kind: birefnet, isnet, "
            "u2net), sam2, or another package's."
        ),
    ] = "auto",
    model: Annotated[
        str | None,
        typer.Option(help="Its weights: an .onnx file, a folder, OWNER/NAME on the hub."),
    ] = None,
    redo: Annotated[
        bool, typer.Option("--redo", help="Also make anew what a segmenter found; never yours.")
    ] = False,
) -> None:
    """Find the product in each photo, so that its surroundings count less; masks that stand are kept."""
    from packshot.console import Console
    from packshot.masks import mask_photos
    from packshot.masks.registry import load_segmenter

    opened = project_at(project)
    with Console() as console:
        finder = load_segmenter(segmenter, model, console.progress)
        masked = mask_photos(opened, finder, console.progress, redo=redo)
        console.masked(masked, opened.masks_folder)
    count = sum(photo.mask is not None for photo in masked.photos)
    typer.echo(f"{count} masks in {opened.masks_folder}: look at them before you train.")


def class_images(
    project: ProjectFolder = Here,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="Folder of pictures; or, several if you like: openverse, commons, a file of URLs, "
            "img2dataset's folder. Default: the base makes them.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    words: Annotated[
        str | None, typer.Option(help="Online: what to search for; default: the class.")
    ] = None,
    licences: Annotated[
        str, typer.Option(help="Online: which may be: cc0, pdm, by, by-sa, by-nd, by-nc, …")
    ] = "cc0,pdm,by",
    min_side: Annotated[
        int, typer.Option(min=64, help="Online: pixels of the shorter side.")
    ] = 512,
    contact: Annotated[
        str | None,
        typer.Option(
            envvar="PACKSHOT_CONTACT", help="Online: your e-mail or URL, for the sites asked."
        ),
    ] = None,
    openverse_token: Annotated[
        str | None,
        typer.Option(envvar="PACKSHOT_OPENVERSE_TOKEN", help="For more requests a day."),
    ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(help="Online: folder of a CLIP, to leave out what is not of the class."),
    ] = None,
) -> None:
    """Gather pictures of the class, so that the model keeps knowing what any such thing is."""
    from packshot.console import Console

    opened = project_at(project)
    folder = _plain_folder(sources)
    with Console() as console:
        if folder or not sources:
            from packshot.class_images import gather_class_images

            images = gather_class_images(
                opened,
                base_of(opened, console),
                count=count,
                folder=folder,
                progress=console.progress,
            )
        else:
            from packshot.class_images.online import gather_online

            gathered = gather_online(
                opened,
                sources,
                count=count,
                words=words,
                licences=licences.split(","),
                min_side=min_side,
                contact=contact,
                openverse_token=openverse_token,
                clip=clip,
                progress=console.progress,
            )
            images = gathered.images
            if gathered.refused:
                told = opened.class_images_refused_file
                console.say(f"{len(gathered.refused)} left out; {told} says why")
            for note in gathered.notes:
                console.say(f"note: {note}")
    typer.echo(f"{len(images)} class images in {opened.class_images_folder}")


def _plain_folder(sources: list[str] | None) -> Path | None:
    """The folder of pictures that is the one source, if it is."""
    if not sources or len(sources) > 1 or not (folder := Path(sources[0])).is_dir():
        return None
    from packshot.class_images.online.img2dataset import is_output

    return None if is_output(folder) else folder


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
    from packshot.console import Console

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
    from packshot.console import Console

    with Console() as console:
        written = datasets.export_dataset(
            project_at(project), out, format=format, progress=console.progress
        )
    typer.echo(f"Dataset: {written}")
