"""The list of a project's class images, manifest.jsonl: one JSON line each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from packshot.class_images.attribution import attribution
from packshot.class_images.class_image import ClassImage
from packshot.errors import ClassImagesError
from packshot.images import sidecars
from packshot.project import Project
from packshot.utils import files, hashing, pathnames, reading
from packshot.utils.validation import describe

ORIGINS_FILE = "manifest.jsonl"
"""What a folder's list of where its pictures come from is called; a project's own, too."""


def write_manifest(project: Project, images: Iterable[ClassImage]) -> None:
    """Replace the project's list atomically after `images` is exhausted; then write ATTRIBUTION.md."""
    listed = list(images)
    rows = (image.model_dump() | {"file": image.file.name} for image in listed)
    files.write_json_lines(project.class_images_manifest, rows)
    files.write_text(project.class_images_attribution, attribution(listed))


def list_class_images(project: Project) -> list[ClassImage]:
    """The project's class images; empty if none were collected.

    Raises:
        ClassImagesError: the list is damaged, or a listed file is missing.
        UnsafePathError: the list names a file outside the project's class_images folder.
    """
    return [_image(project, row) for row in reading.read_json_lines(project.class_images_manifest)]


def require_unchanged(images: Iterable[ClassImage]) -> None:
    """Compare the files of class images with the hashes in the list.

    Raises:
        ClassImagesError: one was changed since it was collected.
    """
    for image in images:
        if hashing.known_sha256(image.file) != image.sha256:
            raise ClassImagesError(
                f"The class image {image.file} was changed since it was collected, or is damaged. Delete "
                "it and gather them again: packshot class-images"
            )


def _image(project: Project, row: object) -> ClassImage:
    again = "Gather them again: packshot class-images"
    try:
        listed = ClassImage.model_validate(row)
    except ValidationError as error:
        raise ClassImagesError(
            f"{project.class_images_manifest} is damaged ({describe(error)[:300]}). {again}"
        ) from error
    path = pathnames.safe_join(project.class_images_folder, str(listed.file))
    if not path.is_file():
        raise ClassImagesError(f"The class image {path} is missing. {again}")
    return listed.model_copy(update={"file": path})


def read_folder_metadata(folder: Path) -> dict[str, dict[str, Any]]:
    """The metadata of images in a folder's manifest.jsonl, by file name in `sidecars.same_form`."""
    rows: list[Any] = reading.read_json_lines(folder / ORIGINS_FILE)
    return {sidecars.same_form(str(row.get("file"))): row for row in rows if isinstance(row, dict)}
