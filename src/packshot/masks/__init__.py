"""Segmenters: which pixels of a picture are the product.

One is bundled (`embedded.py`). What they find is a start: masks that a person drew always win.
"""

from __future__ import annotations

from typing import Protocol

from PIL import Image

from packshot.errors import PhotosRefused
from packshot.photos import Photo, open_image, photos, write_mask
from packshot.progress import Progress, silent
from packshot.project import Project


class Segmenter(Protocol):
    """Finds the one product that a picture is of."""

    name: str

    def mask(self, picture: Image.Image) -> Image.Image:
        """The product's share of each pixel: mode L, the size of `picture`, 255 on the product."""
        ...


def mask_photos(
    project: Project, segmenter: Segmenter | None = None, progress: Progress = silent
) -> list[Photo]:
    """Write `photos/masks/<stem>.png` for each photo that has no mask; returns all photos.

    Training then learns the product rather than its places: look at the masks before you do, and
    draw over those that are wrong, or take them out.

    Raises:
        PhotosRefused: the project has no photos.
        ProjectError: another process works on the project.
    """
    from packshot.masks.embedded import EmbeddedSegmenter

    with project.held():
        shown = photos(project)
        if not shown:
            raise PhotosRefused(
                f"{project.root} has no photos yet. Add some: packshot photos FOLDER"
            )
        missing = [photo for photo in shown if photo.mask is None]
        for done, photo in enumerate(missing, start=1):
            segmenter = segmenter or EmbeddedSegmenter()
            write_mask(project, photo, segmenter.mask(open_image(photo.file)))
            progress("masks", done, len(missing))
        return photos(project)
