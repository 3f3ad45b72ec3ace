"""Making a mask for each photo. Masks that a person drew are never overwritten."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from PIL import Image

from packshot.errors import PackshotError, reason_of
from packshot.images.loading import open_image
from packshot.images.masks import read_mask, shows_a_product
from packshot.masks.segmenter import (
    COMPARED_PIXELS,
    ComparingSegmenter,
    Found,
    Segmenter,
    for_class,
)
from packshot.photos.photo_set import Photo, list_photos, note_missed, require_photos, write_mask
from packshot.project import Project
from packshot.utils.progress import Progress, silent

LEAST_COMPARED = 3
"""Photos from which a product is told from what stands beside it by what they have in common."""


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
    written. The bundled segmenter compares all photos of the project, from three on, so that a mask
    that a person drew makes the others better, too.

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
        finder = for_class(segmenter or load_segmenter(), project.subject.class_noun)

        def is_wanted(photo: Photo) -> bool:
            if photo.mask is None:
                return overwrite_generated or photo.missed_by != finder.name
            return photo.masked_by is not None and (
                overwrite_generated or photo.masked_by in instead_of
            )

        wanted = [photo for photo in photos if is_wanted(photo)]
        missed = set()
        for done, (photo, found) in enumerate(_search(finder, photos, wanted, progress), start=1):
            if isinstance(found, Exception):
                if len(wanted) == 1 or set(failed) >= {other.file.name for other in wanted[:-1]}:
                    raise found  # with all of them: it is not the photos
                failed[photo.file.name] = getattr(found, "reason", str(found) or reason_of(found))
                continue
            if shows_a_product(found.mask):
                write_mask(project, photo, found.mask, finder.name, found.doubt)
            else:
                note_missed(project, photo, finder.name)
                missed.add(photo.file)
            progress("masks", done, len(wanted))
        now = list_photos(project, failed)
        missed |= {photo.file for photo in now if photo.mask is None}
        missed -= {photo.file for photo in now if photo.file.name in failed}
        return MaskResult(now, [photo for photo in now if photo.file in missed], failed)


@dataclass(frozen=True)
class _Mask:
    """As `Found`, by a segmenter that tells no doubt."""

    mask: Image.Image
    doubt: float | None = None


_Outcome = Found | _Mask | Exception
_Seen = TypeVar("_Seen")


def _search(
    finder: Segmenter, photos: Sequence[Photo], wanted: Sequence[Photo], progress: Progress
) -> Iterator[tuple[Photo, _Outcome]]:
    """What is found in each wanted photo, or why it could not be searched."""
    if isinstance(finder, ComparingSegmenter) and wanted and len(photos) >= LEAST_COMPARED:
        yield from _compare(finder, photos, wanted, progress)
        return
    for photo in wanted:
        yield photo, _attempt(partial(_alone, finder, photo))


def _alone(finder: Segmenter, photo: Photo) -> _Mask:
    return _Mask(finder.mask(open_image(photo.file)))


def _compare(
    finder: ComparingSegmenter,
    photos: Sequence[Photo],
    wanted: Sequence[Photo],
    progress: Progress,
) -> Iterable[tuple[Photo, _Outcome]]:
    """As `_search`, by comparing all photos, also those that have a mask."""
    names = {photo.file for photo in wanted}
    opened: dict[int, tuple[Image.Image, Image.Image | None]] = {}
    outcomes: dict[int, _Outcome] = {}
    for index, photo in enumerate(photos):
        seen = _attempt(partial(_small, photo))
        if isinstance(seen, Exception):
            outcomes[index] = seen
        else:
            opened[index] = seen
    if opened:
        pictures, known = zip(*opened.values(), strict=True)
        found = finder.compare(pictures, known, progress)
        outcomes |= dict(zip(opened, found, strict=True))
    for index, photo in enumerate(photos):
        if photo.file in names:
            outcome = outcomes[index]
            if isinstance(outcome, Found):
                full = outcome.mask.resize((photo.width, photo.height), Image.Resampling.BICUBIC)
                outcome = Found(full, outcome.doubt)
            yield photo, outcome


def _small(photo: Photo) -> tuple[Image.Image, Image.Image | None]:
    """A photo to be compared, and its mask if a person drew it."""
    picture = open_image(photo.file)
    drawn = photo.mask is not None and photo.masked_by is None
    known = read_mask(photo.mask, picture.size) if drawn and photo.mask else None
    picture.thumbnail((COMPARED_PIXELS, COMPARED_PIXELS), Image.Resampling.LANCZOS)
    return picture, known.resize(picture.size, Image.Resampling.BOX) if known else None


def _attempt(search: Callable[[], _Seen]) -> _Seen | Exception:
    try:
        return search()
    except (PackshotError, OSError, MemoryError) as error:
        return error
