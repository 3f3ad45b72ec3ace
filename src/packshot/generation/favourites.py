"""Favourites among a project's generated images, kept in the project."""

from __future__ import annotations

from pathlib import Path

from packshot.errors import PackshotError, UnsafePathError
from packshot.images.encoding import is_picture
from packshot.project import Project
from packshot.utils import files, pathnames, reading


def read_favourites(project: Project) -> list[Path]:
    """The favourites that are there, in the order in which they were chosen.

    What names no image in the project's `shots/` is passed over.
    """
    names = reading.read_json(project.favourites_file)
    found = []
    for name in names if isinstance(names, list) else []:
        try:
            file = pathnames.safe_join(project.shots_folder, str(name))
        except UnsafePathError:
            continue
        if is_picture(file) and pathnames.is_file(file):
            found.append(file)
    return found


def set_favourite(project: Project, image: Path, is_one: bool) -> None:
    """Make an image of the project's `shots/` a favourite, or none.

    Raises:
        PackshotError: it lies elsewhere, or is not there.
    """
    if not image.is_relative_to(project.shots_folder) or not pathnames.is_file(image):
        raise PackshotError(f"{image.name} is no generated image of this project.")
    root = project.shots_folder
    with project.records_held():
        others = [file for file in read_favourites(project) if file != image]
        now = [*others, image] if is_one else others
        names = [file.relative_to(root).as_posix() for file in now]
        files.write_json(project.favourites_file, names)
