"""Importing another trainer's dataset into a project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packshot.class_images import ClassImage, add_class_images, list_class_images
from packshot.datasets.imagefolder import TABLES, find_table, read_imagefolder
from packshot.datasets.kohya import (
    CONFIG_FILE,
    read_captions_json,
    read_config,
    read_folders,
)
from packshot.datasets.metadata import CSV_ENDINGS, read_json, read_metadata
from packshot.datasets.model import Dataset, Entry
from packshot.errors import DatasetError, ImageRejectedError, ProjectError
from packshot.images import sidecars
from packshot.images.loading import encoded, read_picture
from packshot.photos import photo_set as photos
from packshot.project import Project, create_project, open_project
from packshot.settings import Subject
from packshot.utils import caches, copying, files, pathnames
from packshot.utils.progress import Progress, silent


@dataclass(frozen=True)
class ImportResult:
    """The project, its photos and class images from the dataset, and the refused files."""

    project: Project
    photos: list[photos.Photo]
    class_images: list[ClassImage]
    refused: dict[str, str]
    notes: list[str]
    """Notes for the user: ignored settings, skipped folders."""


def import_dataset(
    source: Path,
    root: Path,
    *,
    class_noun: str | None = None,
    name: str | None = None,
    trigger: str | None = None,
    base: str | None = None,
    images: Path | None = None,
    outside: bool = False,
    progress: Progress = silent,
) -> ImportResult:
    """Import a dataset of kohya's sd-scripts, or a Hugging Face imagefolder, into a project.

    Photos are added as by `add_photos`, with captions and masks; existing photos and class images
    are kept. The dataset is not changed. Called again, it redoes only what has changed.

    Args:
        source: a folder, or a .toml, .json, .jsonl or .csv file.
        root: the project folder.
        class_noun: of the project, if it is made now; by default the dataset's class tokens'.
        name: the product's, if the project is made now.
        trigger: as `class_noun`.
        base: the project's, if it is made now.
        images: the folder of a caption table's image names; by default the table's.
        outside: take files outside the dataset's folder, too, that it names or links to. A dataset
            from somebody else could make any of the user's pictures part of what is learnt.

    Raises:
        DatasetError: not a dataset, damaged, without a class noun, or it takes files outside.
        ProjectError: the project has other settings, or is in use.
        NoUsablePhotosError: no photo in it can be used.
    """
    dataset = read_dataset(source, images)
    if not (dataset.entries or dataset.class_entries or dataset.refused):
        raise DatasetError(_nothing_in(source))
    if not outside:
        _refuse_outside(dataset, source, images)
    wanted = {"class_noun": class_noun, "name": name, "trigger": trigger, "base": base}
    project = _project(root, dataset, {key: value for key, value in wanted.items() if value})
    taken, refused = _take_photos(project, dataset, source, progress)
    given = {entry.picture: _told(entry) for entry in dataset.class_entries}
    if given:
        refused = refused | add_class_images(project, given, progress)
    notes = [*dataset.notes, *_notes(project.subject, dataset)]
    return ImportResult(project, taken, list_class_images(project) if given else [], refused, notes)


def _refuse_outside(dataset: Dataset, source: Path, images: Path | None) -> None:
    """Refuse a dataset that takes files from elsewhere, by their names or by links."""
    roots = [(source if source.is_dir() else source.parent).resolve()]
    roots += [images.resolve()] if images else []
    taken = (
        path
        for entry in (*dataset.entries, *dataset.class_entries)
        for path in (entry.picture, entry.mask)
        if path is not None
    )
    for path in taken:
        if not any(path.resolve().is_relative_to(root) for root in roots):
            raise DatasetError(
                f"{source} takes files from outside its folder, such as {path}. If the dataset is your "
                "own, or you know what it takes, say so: packshot import … --outside"
            )


def read_dataset(source: Path, images: Path | None = None) -> Dataset:
    """Read a dataset's list in any supported format; no image is opened.

    Raises:
        DatasetError: not a dataset, or damaged.
    """
    if not pathnames.exists(source):
        raise DatasetError(f"There is no {source}. Name a dataset: a folder, or its .toml.")
    if images and source.suffix.lower() not in (".json", ".jsonl", *CSV_ENDINGS):
        raise DatasetError(f"--images goes with a table of captions; {source} is none.")
    if source.is_dir():
        if (source / CONFIG_FILE).is_file():
            return read_config(source / CONFIG_FILE)
        table = find_table(source)
        return read_imagefolder(source, table) if table else read_folders(source)
    match source.suffix.lower():
        case ".toml":
            return read_config(source)
        case ".json":
            value = read_json(source)
            if isinstance(value, dict) and isinstance(value.get("datasets"), list):
                return read_config(source)
            _refuse_configuration(source, value)
            return read_captions_json(source, images)
        case ".jsonl" | ".csv" | ".tsv":
            return read_metadata(source, images)
        case ".yaml" | ".yml":
            raise DatasetError(
                f"{source} is a configuration of another trainer, such as ai-toolkit, which Packshot does "
                "not read. Import the folder that it names as folder_path."
            )
    raise DatasetError(_nothing_in(source))


def _refuse_configuration(source: Path, value: Any) -> None:
    """Refuse another trainer's configuration: it names folders, and says how to train on them."""
    for trainer, folders in _CONFIGURATIONS.items():
        try:
            named = [str(folder) for folder in folders(value) if folder]
        except (AttributeError, LookupError, TypeError):  # of another shape
            continue
        if named:
            raise DatasetError(
                f"{source} is {trainer}'s, which Packshot does not read. Import the folder that it "
                f"names: packshot import {named[0]}"
            )


_CONFIGURATIONS: dict[str, Callable[[Any], list[Any]]] = {
    "SimpleTuner": lambda value: [one.get("instance_data_dir") for one in value],
    "OneTrainer": lambda value: [one.get("path") for one in value],
    "ai-toolkit": lambda value: [
        dataset["folder_path"]
        for process in value["config"]["process"]
        for dataset in process["datasets"]
    ],
}
"""By trainer, the folders that its configuration of a dataset names."""


def _nothing_in(source: Path) -> str:
    return (
        f"{source} is no dataset that Packshot reads. Name a folder with folders like "
        f"10_ohwx car in it, one with {' or '.join(TABLES)}, or a file: a --dataset_config (.toml, "
        ".json), or a table of captions (.json, .jsonl, .csv)."
    )


def _project(root: Path, dataset: Dataset, wanted: dict[str, str]) -> Project:
    """The project at `root`, created if there is none."""
    if Project(root).settings_file.exists():
        project = open_project(root)
        settings: dict[str, Any] = project.subject.model_dump() | {"base": project.settings.base}
        for key, value in wanted.items():
            if settings[key] != value:
                raise ProjectError(
                    f"{root} is a project with other settings ({key} is {settings[key]!r}, not "
                    f"{value!r}). Leave that out, or name another folder with --project."
                )
        return project
    trigger, class_noun = dataset.subject(wanted.get("trigger"))
    tokens = {"trigger": trigger, "class_noun": class_noun}
    values = {key: value for key, value in tokens.items() if value} | wanted
    if "class_noun" not in values:
        raise DatasetError(
            "This dataset does not say what kind of thing it shows; say it: --class car."
        )
    return create_project(root, **{"name": root.resolve().name, **values})


def _take_photos(
    project: Project, dataset: Dataset, source: Path, progress: Progress
) -> tuple[list[photos.Photo], dict[str, str]]:
    if not (dataset.entries or dataset.refused):
        return [], {}
    with caches.temporary_folder() as folder:
        staged, refused = _stage(dataset.entries, folder)
        refused = dataset.refused | refused
        # Whether transparency is a mask, the dataset says; `_stage` has followed it.
        accepted = photos.ingest(
            project, staged, str(source), progress, refused=refused, has_own_masks=False
        )
    return accepted.photos, accepted.refused


def _stage(entries: Sequence[Entry], folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Link the images into one folder, with their side-cars as `add_photos` expects them."""
    staged: dict[str, Path] = {}
    refused: dict[str, str] = {}
    for entry in entries:
        path = folder / _free_name(entry.picture, staged)
        try:
            staged[path.stem.lower()] = _laid(entry, path)
        except ImageRejectedError as error:
            refused[str(entry.picture) if path.name in refused else path.name] = error.reason
            continue
        if entry.caption:
            files.write_text(path.with_suffix(".txt"), entry.caption + "\n")
        if entry.mask:
            sidecars.mask_place(path).parent.mkdir(exist_ok=True)
            copying.hard_link_or_copy(entry.mask, sidecars.mask_place(path))
    return list(staged.values()), refused


def _free_name(picture: Path, staged: dict[str, Path]) -> str:
    """The image's name, numbered if another one has its stem."""
    stem, number = picture.stem, 1
    while stem.lower() in staged:
        number += 1
        stem = f"{pathnames.shortened(picture.stem, 200)}-{number}"
    return stem + picture.suffix


def _laid(entry: Entry, path: Path) -> Path:
    """A link to the image; if its transparency is a mask, an opaque copy, and the mask."""
    drawn = read_picture(entry.picture, over_white=False) if entry.alpha_is_mask else None
    if drawn is None or drawn.alpha is None or drawn.alpha.getextrema() == (255, 255):
        copying.point(path, entry.picture)
        return path
    path = path.with_suffix(".png")
    files.write_bytes(path, encoded(drawn, ".png"))
    files.write_image(sidecars.mask_place(path), drawn.alpha)
    return path


def _told(entry: Entry) -> dict[str, str]:
    return {**entry.origin, **({"prompt": entry.caption} if entry.caption else {})}


def _notes(subject: Subject, dataset: Dataset) -> list[str]:
    """Notes on how the project and its training will differ from the dataset's trainer."""
    notes = []
    repeats = sorted({entry.repeats for entry in dataset.entries})
    if len(repeats) > 1:
        notes.append(
            f"repeats of {', '.join(map(str, repeats))} were left out: "
            "Packshot shows all photos equally often"
        )
    if others := ", ".join(f'"{tokens}"' for tokens in dict.fromkeys(dataset.other_tokens)):
        notes.append(
            f'the dataset shows {others} beside "{dataset.class_tokens}": all were taken for photos of one '
            "product. Import the folders of another by themselves, into a project of its own"
        )
    if (dataset.class_noun or "").split()[:1] == [subject.trigger]:
        notes.append(
            f'the class images are called "{dataset.class_noun}", as the product is: they were taken '
            f'for class images of "{subject.class_noun}"'
        )
    named = sum(subject.is_named_in(entry.caption or "") for entry in dataset.class_entries)
    if named:
        notes.append(
            f"class images with the trigger {subject.trigger!r} in their captions: {named}. They would "
            "be learnt as the product: take it out there, and import again"
        )
    if dataset.class_tokens and dataset.class_tokens != subject.phrase:
        notes.append(
            f'the dataset calls the product "{dataset.class_tokens}", the project '
            f'"{subject.phrase}": captions stay as they are'
        )
    return notes
