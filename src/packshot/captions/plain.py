"""The plainest captioner: trigger and class noun, nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from packshot.settings import Subject

if TYPE_CHECKING:
    from PIL import Image


class Plain:
    """For bases without an image tower; captions written by a person are better."""

    name, batch = "plain", 16

    def caption(self, pictures: Iterable[Image.Image], subject: Subject) -> list[str]:
        """The same line for each image."""
        return [f"a photo of {subject.phrase}" for _ in pictures]
