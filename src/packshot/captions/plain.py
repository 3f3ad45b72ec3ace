"""The plainest captioner: trigger and class noun, nothing else."""

from __future__ import annotations

from packshot.photos import Photo
from packshot.project import Subject


class Plain:
    """For bases that carry no image tower; people's own side-car captions do better."""

    def caption(self, photo: Photo, subject: Subject) -> str:
        return f"a photo of {subject.phrase}"
