"""Exporting a project as another trainer's dataset."""

from __future__ import annotations

import contextlib
from pathlib import Path

from packshot.class_images import list_class_images, require_unchanged
from packshot.datasets.imagefolder import write_imagefolder
from packshot.datasets.kohya import write_kohya
from packshot.errors import DatasetError
from packshot.photos.photo_set import require_photos
from packshot.project import Project
from packshot.utils import pathnames
from packshot.utils.progress import Progress, silent

WRITERS = {"kohya": write_kohya, "imagefolder": write_imagefolder}
_PART = ".packshot.part"
"""Where a dataset is written, in its folder, until it is whole."""


def export_dataset(
    project: Project, folder: Path, *, format: str = "kohya", progress: Progress = silent
) -> Path:
    """Write photos, captions, masks and class images into `folder`, upright, and return it.

    Args:
        folder: is created; it must not exist or must be empty, and is so again after an error.
        format: "kohya" for sd-scripts, "imagefolder" for Hugging Face's `load_dataset`.

    Raises:
        DatasetError: there is no such format, or the folder is not empty.
        NoUsablePhotosError: the project has no photos.
        ClassImagesError: a class image was changed since it was collected.
        ProjectError: another process works on the project.
    """
    if format not in WRITERS:
        raise DatasetError(f"--format {format}: choose one of {', '.join(WRITERS)}.")
    if folder.exists() and (not folder.is_dir() or _others(folder)):
        raise DatasetError(f"{folder} is not an empty folder. Name another, or empty it first.")
    with project.held():
        exported_photos = require_photos(project)
        others = sorted(list_class_images(project), key=lambda image: image.file.name)
        require_unchanged(others)
        existed, part = folder.exists(), folder / _PART
        if part.exists():
            pathnames.remove_tree(part, below=folder)
        try:
            WRITERS[format](part, project.subject, exported_photos, others, progress)
        except BaseException:
            with contextlib.suppress(OSError):  # of a drive that is gone, too
                pathnames.remove_tree(part, below=folder)
                if not existed:
                    folder.rmdir()
            raise
        for child in sorted(part.iterdir()):
            child.rename(folder / child.name)
        part.rmdir()
    return folder


def _others(folder: Path) -> list[Path]:
    """What is in a folder but for what a killed process has written of an export."""
    return [child for child in folder.iterdir() if child.name != _PART]
