"""Captions: a prompt for each photo, naming the product by its trigger and all else in words.

What a caption says is not learnt as the product's own: so view, place and light are said, and the
product itself is not described. A side-car that stands, whoever wrote it, is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from packshot.bases.base import Base
from packshot.captions.clip_interrogator import ClipInterrogator
from packshot.captions.phrases import read_bank
from packshot.captions.plain import Plain
from packshot.errors import PhotosRefused
from packshot.photos import Photo, open_image, photos, write_captions
from packshot.progress import Progress, silent
from packshot.project import Project, Subject

BATCH = 16
PIXELS = 256
"""Side of the squares that captioners see: photos are squeezed into them whole, not cropped."""


class Captioner(Protocol):
    """Says in words what pictures show besides the product."""

    def caption(self, pixels: Tensor, subject: Subject) -> list[str]:
        """One line for each picture of [B, 3, H, W] in [-1, 1]: trigger, class noun, all else."""
        ...


def captioner_for(base: Base) -> Captioner:
    """The best captioner that works with what the base carries."""
    similarity = base.clip_similarity()
    return ClipInterrogator(similarity, read_bank(base.path)) if similarity else Plain()


def caption_photos(project: Project, base: Base, progress: Progress = silent) -> list[Photo]:
    """Write `photos/<stem>.txt` for each photo that has no caption; returns all photos.

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
        missing = [photo for photo in shown if photo.caption is None]
        captioner = captioner_for(base) if missing else Plain()
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            captions = captioner.caption(_pixels(batch), project.subject)
            write_captions(project, zip(batch, captions, strict=True))
            progress("captions", start + len(batch), len(missing))
        return photos(project)


def _pixels(batch: Sequence[Photo]) -> Tensor:
    import numpy as np
    from PIL import Image

    pictures = (
        open_image(photo.file).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC, reducing_gap=2)
        for photo in batch
    )
    arrays = np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2) / 127.5 - 1
