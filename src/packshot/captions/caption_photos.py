"""Writing a caption for each photo.

What a caption describes is not trained into the trigger: so captions describe view, place and light,
but not the product itself. Captions that a person wrote are never overwritten; generated ones only
with `overwrite_generated`.
"""

from __future__ import annotations

from collections.abc import Collection

from packshot.captions.captioner import Captioner
from packshot.captions.plain import Plain
from packshot.captions.registry import captioner_for
from packshot.images.loading import open_image
from packshot.models.diffusion_model import DiffusionModel
from packshot.photos.manifest import PERSON
from packshot.photos.photo_set import Photo, list_photos, require_photos, write_captions
from packshot.project import Project
from packshot.utils.progress import Progress, silent


def caption_photos(
    project: Project,
    base: DiffusionModel | None = None,
    progress: Progress = silent,
    *,
    captioner: Captioner | None = None,
    overwrite_generated: bool = False,
    instead_of: Collection[str] = (),
) -> list[Photo]:
    """Write `photos/<stem>.txt` for each photo that has no caption; returns all photos.

    Args:
        base: its own captioner is the default.
        overwrite_generated: also overwrite generated captions; never what a person wrote, changed or locked.
        instead_of: captioners whose captions are overwritten, too.

    Raises:
        NoUsablePhotosError: the project has no photos.
        ProjectError: another process works on the project.
    """
    with project.held():
        photos = require_photos(project)
        wanted = [photo for photo in photos if _is_wanted(photo, overwrite_generated, instead_of)]
        chosen = captioner or (captioner_for(base) if wanted else Plain())
        for start in range(0, len(wanted), chosen.batch):
            batch = wanted[start : start + chosen.batch]
            pictures = (open_image(photo.file) for photo in batch)
            captions = chosen.caption(pictures, project.subject)
            write_captions(project, zip(batch, captions, strict=True), by=chosen.name)
            progress("captions", start + len(batch), len(wanted))
        return list_photos(project)


def _is_wanted(photo: Photo, redo: bool, instead_of: Collection[str]) -> bool:
    if photo.caption_locked or photo.caption is None:
        return not photo.caption_locked
    return photo.caption_by != PERSON and (redo or photo.caption_by in instead_of)
