"""The interface of captioners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from packshot.settings import Subject


class Captioner(Protocol):
    """Describes images in words."""

    name: str
    """Who stands as the captions' author: "clip", "blip", …"""
    batch: int
    """How many pictures it had best be given at a time; what is done is on the disk after each."""

    def caption(self, pictures: Iterable[Image.Image], subject: Subject) -> list[str]:
        """One line per image (upright RGB, any size): trigger, class noun, then everything else."""
        ...
