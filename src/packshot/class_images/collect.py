"""Gathering class images for a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packshot.class_images.class_image import ClassImage
from packshot.class_images.from_base import generate_class_images
from packshot.class_images.from_folder import class_image, from_folder
from packshot.class_images.manifest import list_class_images, write_manifest
from packshot.errors import ClassImagesError, ImageRejectedError
from packshot.images.refusals import write_refusals
from packshot.models.diffusion_model import DiffusionModel
from packshot.project import Project
from packshot.utils import files
from packshot.utils.progress import Progress, silent


def collect_class_images(
    project: Project,
    base: DiffusionModel,
    *,
    count: int,
    folder: Path | None = None,
    progress: Progress = silent,
) -> list[ClassImage]:
    """List `count` pictures of the class: from `folder`, or made by the base itself.

    Each lies in the project as a hard link (a copy, where the disk cannot link), so that thousands
    of pictures take no room in each of many projects, and stay when their folder is moved. Gathering
    again replaces the list: a larger count only adds, a smaller one keeps an even subset. Pictures
    that cannot be used are listed in refused.json.

    Raises:
        ClassImagesError: the folder is missing, or holds nothing usable.
        ProjectError: another process works on the project.
        DiskFullError: no room; the list of before stands.
    """
    subject = project.subject
    with project.held():
        refused: dict[str, str] = {}
        if folder is None:
            found = generate_class_images(base, subject.class_noun, count, progress)
        else:
            known = _known(project)
            found = from_folder(folder, subject.class_noun, count, known, refused, progress)
        return store_class_images(project, found, refused)


def store_class_images(
    project: Project, images: Iterable[ClassImage], refused: Mapping[str, str]
) -> list[ClassImage]:
    """Replace the project's list, each picture linked into the project; tell what was refused.

    The project is held by the caller. `refused` is read when the last of `images` is there.
    """
    write_manifest(project, _linked(project, images))
    write_refusals(project.class_images_refused_file, refused)
    return list_class_images(project)


def add_class_images(
    project: Project, given: Mapping[Path, Mapping[str, str]], progress: Progress = silent
) -> dict[str, str]:
    """Add pictures to the project's class images, all that can be used; those that stand stay.

    Args:
        given: the pictures, each with what is told of it: `prompt`, `source`, `author`, `licence`.

    Returns:
        What was refused, by name, and why; refused.json lists it too.

    Raises:
        ClassImagesError: the list that stands is damaged.
        ProjectError: another process works on the project.
    """
    with project.held():
        standing = {image.sha256: image for image in list_class_images(project)}
        added: dict[str, ClassImage] = {}
        refused: dict[str, str] = {}
        for done, (path, told) in enumerate(given.items(), start=1):
            try:
                image = class_image(path, project.subject.class_noun, standing, told)
                if image.sha256 in added:
                    same = added[image.sha256].file.name
                    raise ImageRejectedError(path.name, f"is the same file as {same}", "duplicate")
                added[image.sha256] = image
            except ImageRejectedError as error:
                refused[str(path) if path.name in refused else path.name] = error.reason
            progress("class images", done, len(given))
        store_class_images(project, (standing | added | standing).values(), refused)
        return refused


def _linked(project: Project, images: Iterable[ClassImage]) -> Iterator[ClassImage]:
    for image in images:
        name = f"{image.sha256[:16]}{image.file.suffix.lower()}"
        path = files.safe_join(project.class_images_folder, name)
        files.hard_link_or_copy(image.file, path)
        yield image.model_copy(update={"file": path})


def _known(project: Project) -> dict[str, ClassImage]:
    """The pictures of before, which need not be decoded again, by their hashes."""
    try:
        return {image.sha256: image for image in list_class_images(project)}
    except ClassImagesError:
        return {}
