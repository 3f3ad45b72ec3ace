"""Exporting a project as another trainer's dataset."""

from __future__ import annotations

import contextlib
from pathlib import Path

from packshot.class_images import list_class_images, require_unchanged
from packshot.datasets.imagefolder import CLASS_IMAGES, TRAIN, write_imagefolder
from packshot.datasets.kohya import CONFIG_FILE, write_kohya
from packshot.errors import DatasetError
from packshot.photos.photo_set import require_photos
from packshot.project import Project
from packshot.utils import files, pathnames
from packshot.utils.progress import Progress, silent

WRITERS = {"kohya": write_kohya, "imagefolder": write_imagefolder}
_WRITTEN = ("img", "reg", CONFIG_FILE, TRAIN, CLASS_IMAGES)
"""What they write into the folder itself."""
_BEGUN = ".packshot.part"
"""A folder within, as long as not all is written."""


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
    if folder.exists() and not (folder.is_dir() and _is_free(folder)):
        raise DatasetError(f"{folder} is not an empty folder. Name another, or empty it first.")
    with project.held():
        exported_photos = require_photos(project)
        others = sorted(list_class_images(project), key=lambda image: image.file.name)
        require_unchanged(others)
        existed = folder.exists()
        try:
            _begin(folder)
            WRITERS[format](folder, project.subject, exported_photos, others, progress)
        except BaseException:
            with contextlib.suppress(OSError):  # of a drive that is gone, too
                _empty(folder)
                if not existed:
                    folder.rmdir()
            raise
        (folder / _BEGUN).rmdir()
    return folder


def _is_free(folder: Path) -> bool:
    """Whether a folder is empty, or has what a killed process has written of an export and nothing else."""
    children = list(folder.iterdir())
    return not children or (folder / _BEGUN in children and all(map(_is_ours, children)))


def _is_ours(child: Path) -> bool:
    return child.name in _WRITTEN or files.is_temporary(child)


def _begin(folder: Path) -> None:
    """Take back what a killed process has written, and mark that this one has begun."""
    try:
        if folder.exists():
            _empty(folder)
        (folder / _BEGUN).mkdir(parents=True)
    except OSError as error:
        raise files.explain(error, folder, 0) from error


def _empty(folder: Path) -> None:
    """Take back what was written, the mark last: killed here, too, the same command goes on."""
    ours = filter(_is_ours, list(folder.iterdir()))
    for child in sorted(ours, key=lambda child: child.name == _BEGUN):
        if child.is_dir():
            pathnames.remove_tree(child, below=folder)
        else:
            child.unlink()
