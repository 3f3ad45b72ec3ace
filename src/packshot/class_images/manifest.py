"""The list of a project's class images: one JSON line each, with where it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot import files
from packshot.class_images.attribution import attribution
from packshot.errors import ClassImagesError
from packshot.project import Project
from packshot.validation import describe


@dataclass(frozen=True, slots=True)
class ClassImage:
    """A picture of the class: what it shows in words, and where it comes from."""

    file: Path
    sha256: str
    width: int
    height: int
    prompt: str
    source: str
    """A URL, a file's path, or what made it."""
    author: str
    licence: str
    title: str = ""
    licence_url: str = ""


class _Row(BaseModel):
    """One line of manifest.jsonl; `file` is a name in the project's class_images folder."""

    model_config = ConfigDict(extra="forbid")
    file: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    prompt: str
    source: str
    author: str
    licence: str
    title: str = ""
    licence_url: str = ""


def write_manifest(project: Project, images: Iterable[ClassImage]) -> None:
    """Replace the project's list at once, when the last of `images` is there; then ATTRIBUTION.md."""
    listed = list(images)
    rows = (dataclasses.asdict(image) | {"file": image.file.name} for image in listed)
    files.write_json_lines(project.class_images_manifest, rows)
    files.write_text(project.class_images_attribution, attribution(listed))


def class_images(project: Project) -> list[ClassImage]:
    """The project's class images; none, if none were gathered.

    Raises:
        ClassImagesError: the list is damaged, or a picture that it names is not there.
        PathEscapes: the list names a file outside the project's class_images folder.
    """
    return [_image(project, row) for row in files.read_json_lines(project.class_images_manifest)]


def _image(project: Project, row: object) -> ClassImage:
    again = "Gather them again: packshot class-images"
    try:
        fields = _Row.model_validate(row).model_dump()
    except ValidationError as error:
        raise ClassImagesError(
            f"{project.class_images_manifest} is damaged ({describe(error)[:300]}). {again}"
        ) from error
    path = files.contained(project.class_images_folder, fields["file"])
    if not path.is_file():
        raise ClassImagesError(f"The class image {path} is missing. {again}")
    return ClassImage(**fields | {"file": path})
