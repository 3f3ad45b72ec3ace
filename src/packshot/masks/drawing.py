"""Masks that a person draws over a photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from packshot.errors import ImageRejectedError, ProjectError
from packshot.images.masks import has_shape, resized, shows_a_product
from packshot.photos.photo_set import Photo, list_photos
from packshot.project import Project
from packshot.utils import files, pathnames

if TYPE_CHECKING:
    from PIL import Image


def draw_mask(project: Project, name: str, mask: Image.Image | None) -> Photo:
    """Give a photo the mask that a person drew: no command overwrites it.

    Args:
        name: the photo's.
        mask: mode L, white on the product, of the photo's proportions; None to take its mask away.

    Raises:
        ImageRejectedError: it is empty, covers everything, or is of another shape; nothing was written.
        ProjectError: there is no such photo, or another process works on the project.
    """
    with project.held():
        photo = next((one for one in list_photos(project) if one.file.name == name), None)
        if photo is None:
            raise ProjectError(f"The project has no photo {pathnames.printable_name(name)!r}.")
        path = photo.mask or project.masks_folder / f"{Path(name).stem}.png"
        if mask is None:
            path.unlink(missing_ok=True)
        else:
            size = (photo.width, photo.height)
            if not has_shape(mask.size, size):
                raise ImageRejectedError(
                    name, "its mask has another shape than the photo; draw it at the photo's size"
                )
            whole = resized(mask.convert("L"), size)
            if not shows_a_product(whole):
                raise ImageRejectedError(name, "its mask is empty, or covers all of the photo")
            files.write_image(path, whole)
        return next(one for one in list_photos(project) if one.file.name == name)
