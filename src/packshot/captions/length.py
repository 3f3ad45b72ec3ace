"""Captions that are longer than the base reads: told before training, or refused."""

from __future__ import annotations

from collections.abc import Sequence

from packshot.errors import CaptionError
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.prompt_length import read_part
from packshot.photos.photo_set import Photo
from packshot.project import Subject

_SHOWN = 10
_END = 40


def check_lengths(photos: Sequence[Photo], subject: Subject, base: DiffusionModel) -> list[str]:
    """Notes on captions of which the base's text encoder reads only the beginning.

    Raises:
        CaptionError: of one, the trigger is in what is not read; the message names the photos.
    """
    cut = [
        (photo.file.name, photo.caption, read)
        for photo in photos
        if photo.caption and (read := read_part(base, photo.caption)) != photo.caption
    ]
    limit = f"{base.name} reads {base.prompt_limit[1]} tokens of a caption"
    lost = [
        (name, caption, read)
        for name, caption, read in cut
        if subject.is_named_in(caption) and not subject.is_named_in(read)
    ]
    if lost:
        raise CaptionError(
            f"{limit}, and the trigger {subject.trigger!r} comes after them:\n{_listed(lost)}\n"
            "Put it at the caption's beginning, or shorten the caption: packshot caption --review"
        )
    if not cut:
        return []
    return [f"{limit}; what comes after them is not learnt:\n{_listed(cut)}"]


def _listed(cut: Sequence[tuple[str, str, str]]) -> str:
    lines = [f"  {name}: read up to “…{read[-_END:]}”" for name, _, read in cut]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(lines[:_SHOWN] + more)
