"""Making a mask for each photo. Masks that a person drew are never overwritten."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from packshot.errors import PackshotError, reason_of
from packshot.images.loading import open_image
from packshot.images.masks import shows_a_product
from packshot.photos.photo_set import Photo, list_photos, note_missed, require_photos, write_mask
from packshot.project import Project
from packshot.utils.progress import Progress, silent


class Segmenter(Protocol):
    """Segments the one product in an image."""

    name: str

    def mask(self, picture: Image.Image) -> Image.Image:
        """The product's mask: mode L, the size of `picture`, 255 on the product."""
        ...


@dataclass(frozen=True)
class MaskResult:
    """A project's photos with their current masks, and those in which no product was found."""

    photos: list[Photo]
    without_mask: list[Photo]
    """Photos in which the segmenter found no product; an earlier mask of theirs is kept."""
    failed: dict[str, str] = field(default_factory=dict)
    """Photos that could not be searched, by name, with the reasons."""


def mask_photos(
    project: Project,
    segmenter: Segmenter | None = None,
    progress: Progress = silent,
    *,
    overwrite_generated: bool = False,
    instead_of: Collection[str] = (),
) -> MaskResult:
    """Write `photos/masks/<stem>.png` for each photo that has no mask.

    With masks the LoRA is trained on the product rather than on its surroundings: look at the masks
    first, and redraw or delete those that are wrong. A mask that is empty or covers everything is not
    written.

    Args:
        segmenter: by default that of `load_segmenter("auto")`.
        overwrite_generated: also redo generated masks; never those that a person drew or changed.
        instead_of: segmenters whose masks are redone, too.

    Raises:
        NoUsablePhotosError: the project has no photos.
        ProjectError: another process works on the project.
        PackshotError: the segmenter cannot be used, with none of the photos.
    """
    from packshot.masks.registry import load_segmenter

    with project.held():
        failed: dict[str, str] = {}
        photos = require_photos(project, failed)
        finder: Segmenter = segmenter or load_segmenter()

        def is_wanted(photo: Photo) -> bool:
            if photo.mask is None:
                return overwrite_generated or photo.missed_by != finder.name
            return photo.masked_by is not None and (
                overwrite_generated or photo.masked_by in instead_of
            )

        wanted = [photo for photo in photos if is_wanted(photo)]
        missed = set()
        for done, photo in enumerate(wanted, start=1):
            try:
                mask = finder.mask(open_image(photo.file))
            except (PackshotError, OSError, MemoryError) as error:
                if len(wanted) == 1 or set(failed) >= {other.file.name for other in wanted[:-1]}:
                    raise  # with all of them: it is not the photos
                failed[photo.file.name] = getattr(error, "reason", str(error) or reason_of(error))
                continue
            if shows_a_product(mask):
                write_mask(project, photo, mask, finder.name)
            else:
                note_missed(project, photo, finder.name)
                missed.add(photo.file)
            progress("masks", done, len(wanted))
        now = list_photos(project, failed)
        missed |= {photo.file for photo in now if photo.mask is None}
        missed -= {photo.file for photo in now if photo.file.name in failed}
        return MaskResult(now, [photo for photo in now if photo.file in missed], failed)
