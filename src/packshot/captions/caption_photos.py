"""Writing a caption for each photo.

What a caption describes is not trained into the trigger: so captions describe view, place and light,
but not the product itself. Captions that a person wrote are never overwritten; generated ones only
with `overwrite_generated`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from packshot.captions.captioner import Captioner
from packshot.captions.plain import Plain
from packshot.errors import CaptionError, PackshotError, reason_of
from packshot.images.loading import open_image
from packshot.photos.manifest import PERSON
from packshot.photos.photo_set import Photo, list_photos, require_photos, write_captions
from packshot.project import Project
from packshot.settings import Subject
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from packshot.models.diffusion_model import DiffusionModel


def caption_photos(
    project: Project,
    base: DiffusionModel | None = None,
    progress: Progress = silent,
    *,
    captioner: Captioner | None = None,
    overwrite_generated: bool = False,
    instead_of: Collection[str] = (),
    refused: dict[str, str] | None = None,
) -> list[Photo]:
    """Write `photos/<stem>.txt` for each photo that has no caption; returns all photos.

    One photo that cannot be described does not keep the others from it.

    Args:
        base: its own captioner is the default.
        overwrite_generated: also overwrite generated captions; never what a person wrote, changed or locked.
        instead_of: captioners whose captions are overwritten, too.
        refused: receives the names of photos that could not be described, with the reasons; without
            it, they are an error when the others are done.

    Raises:
        CaptionError: photos could not be described.
        NoUsablePhotosError: the project has no photos.
        ProjectError: another process works on the project.
    """
    from packshot.captions.registry import captioner_for

    with project.held():
        failed: dict[str, str] = {}
        photos = require_photos(project, failed)
        wanted = [photo for photo in photos if _is_wanted(photo, overwrite_generated, instead_of)]
        chosen = captioner or (captioner_for(base) if wanted else Plain())
        count = 0
        for start in range(0, len(wanted), chosen.batch):
            batch = wanted[start : start + chosen.batch]
            captions = _described(chosen, batch, project.subject, failed)
            write_captions(project, captions, by=chosen.name)
            count += len(captions)
            progress("captions", start + len(batch), len(wanted))
        now = list_photos(project, failed)
    if failed and (refused is None or (wanted and not count)):
        lines = "".join(f"\n  {name}: {reason}" for name, reason in list(failed.items())[:20])
        raise CaptionError(f"No caption could be made for {len(failed)} photos:{lines}")
    if refused is not None:
        refused |= failed
    return now


def _described(
    captioner: Captioner, batch: Sequence[Photo], subject: Subject, failed: dict[str, str]
) -> list[tuple[Photo, str]]:
    """Photos with their captions; where that fails, each by itself."""
    from packshot.captions.registry import ADVICE
    from packshot.models.device_memory import is_out_of_memory

    try:
        captions = captioner.caption((open_image(photo.file) for photo in batch), subject)
        return list(zip(batch, captions, strict=True))
    except (PackshotError, OSError) as error:
        reason = getattr(error, "reason", str(error) or reason_of(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = f"the memory does not suffice for {captioner.name}. {ADVICE}"
    # After the error, whose frames hold tensors.
    if len(batch) > 1:
        alone = (_described(captioner, [photo], subject, failed) for photo in batch)
        return [described for part in alone for described in part]
    failed[batch[0].file.name] = reason
    return []


def _is_wanted(photo: Photo, redo: bool, instead_of: Collection[str]) -> bool:
    if photo.caption_locked or photo.caption is None:
        return not photo.caption_locked
    return photo.caption_by != PERSON and (redo or photo.caption_by in instead_of)
