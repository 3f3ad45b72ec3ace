"""The list of a project's class images: one JSON line each, streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packshot import files
from packshot.errors import ClassImagesError
from packshot.project import Project


@dataclass(frozen=True)
class ClassImage:
    """A picture of the class: what it shows in words, and where it came from."""

    file: Path
    sha256: str
    width: int
    height: int
    prompt: str
    source: str
    author: str = ""
    licence: str = ""


def write_manifest(project: Project, images: Iterable[ClassImage]) -> None:
    """Replace the project's list. Pictures may lie anywhere: they are shared between projects."""
    lines = [json.dumps(vars(image) | {"file": str(image.file)}) for image in images]
    files.write_text(project.class_images_manifest, "".join(line + "\n" for line in lines))


def class_images(project: Project) -> list[ClassImage]:
    """The project's class images, in order; empty if none were gathered.

    Raises:
        ClassImagesError: the list is damaged, or a picture that it names is gone.
    """
    images = []
    for entry in files.read_json_lines(project.class_images_manifest):
        try:
            image = ClassImage(**entry | {"file": Path(entry["file"])})
        except (TypeError, KeyError) as error:
            raise ClassImagesError(
                f"{project.class_images_manifest} is damaged ({error}). Delete it and gather again."
            ) from error
        if not image.file.is_file():
            raise ClassImagesError(
                f"The class image {image.file} is gone. Gather again: packshot class-images"
            )
        images.append(image)
    return images
