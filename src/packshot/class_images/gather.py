"""Gathering class images for a project."""

from __future__ import annotations

from pathlib import Path

from packshot.bases.base import Base
from packshot.class_images.folder import from_folder
from packshot.class_images.generated import generated
from packshot.class_images.manifest import ClassImage, class_images, write_manifest
from packshot.progress import Progress, silent
from packshot.project import Project


def gather_class_images(
    project: Project,
    base: Base,
    *,
    count: int,
    folder: Path | None = None,
    progress: Progress = silent,
) -> list[ClassImage]:
    """List `count` pictures of the class: from `folder`, or made by the base itself.

    Made ones are kept once for each base and class and shared by all projects; those of a folder
    stay where they are. Gathering again replaces the list.

    Raises:
        ClassImagesError: the folder is missing or holds nothing usable.
        ProjectError: another process works on the project.
    """
    noun = project.subject.class_noun
    with project.held():
        source = (
            from_folder(folder, noun, count, progress)
            if folder
            else generated(base, noun, count, progress)
        )
        write_manifest(project, source)
        return class_images(project)
