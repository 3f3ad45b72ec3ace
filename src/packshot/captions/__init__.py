"""Captions: a prompt for each photo, naming the product by its trigger and all else in words.

What a caption says is not learnt as the product's: so the view, the place and the light are said,
and the product itself is not described.
"""

from __future__ import annotations

from typing import Protocol

from packshot.bases.base import Base
from packshot.captions.clip_interrogator import ClipInterrogator
from packshot.captions.plain import Plain
from packshot.errors import PhotosRefused
from packshot.photos import Photo, photos, write_captions
from packshot.progress import Progress, silent
from packshot.project import Project, Subject


class Captioner(Protocol):
    """Says in words what a picture shows besides the product."""

    def caption(self, photo: Photo, subject: Subject) -> str:
        """One line: trigger, class noun, and what is not the product."""
        ...


def captioner_for(base: Base) -> Captioner:
    """The best captioner that works with what the base carries."""
    similarity = base.clip_similarity()
    return ClipInterrogator(similarity) if similarity else Plain()


def caption_photos(project: Project, base: Base, progress: Progress = silent) -> list[Photo]:
    """Write `<photo>.txt` for each photo that has none; one that stands is never overwritten.

    Raises:
        PhotosRefused: the project has no photos.
        ProjectError: another process works on the project.
    """
    with project.held():
        shown = photos(project)
        if not shown:
            raise PhotosRefused(
                f"{project.root} has no photos yet. Add some: packshot photos FOLDER"
            )
        missing = [photo for photo in shown if not photo.caption]
        captioner = captioner_for(base) if missing else None
        for done, photo in enumerate(missing, start=1):
            assert captioner is not None
            write_captions(project, [(photo, captioner.caption(photo, project.subject))])
            progress("captions", done, len(missing))
        return photos(project)
