"""Captions that are longer than the base reads: told before training, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packshot.errors import CaptionError
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.prompt_length import read_part
from packshot.photos.photo_set import Photo
from packshot.settings import Subject

_SHOWN = 10
_END = 40


def check_lengths(photos: Sequence[Photo], subject: Subject, base: DiffusionModel) -> list[str]:
    """Notes on captions of which the base's text encoder reads only the beginning.

    Raises:
        CaptionError: of one, the trigger is in what is not read; the message names the photos.
    """
    captions = [(photo.file.name, photo.caption) for photo in photos if photo.caption]
    cut = _cut(captions, base)
    lost = [
        (name, read)
        for name, caption, read in cut
        if subject.is_named_in(caption) and not subject.is_named_in(read)
    ]
    if lost:
        raise CaptionError(
            f"{_limit(base)}, and the trigger {subject.trigger!r} comes after them:\n{_listed(lost)}\n"
            "Put it at the caption's beginning, or shorten the caption: packshot caption --review"
        )
    return _notes([(name, read) for name, _, read in cut], base)


def check_class_lengths(prompts: Mapping[str, str], base: DiffusionModel) -> list[str]:
    """As `check_lengths`, for the prompts of class images, by their names."""
    return _notes([(name, read) for name, _, read in _cut(list(prompts.items()), base)], base)


def _cut(captions: Sequence[tuple[str, str]], base: DiffusionModel) -> list[tuple[str, str, str]]:
    """Of (name, caption), those that are not read whole, with what is read."""
    read = {caption: read_part(base, caption) for _, caption in captions}
    return [(name, text, read[text]) for name, text in captions if read[text] != text]


def _notes(cut: Sequence[tuple[str, str]], base: DiffusionModel) -> list[str]:
    return [f"{_limit(base)}; what comes after them is not learnt:\n{_listed(cut)}"] if cut else []


def _limit(base: DiffusionModel) -> str:
    return f"{base.name} reads {base.prompt_limit[1]} tokens of a caption"


def _listed(cut: Sequence[tuple[str, str]]) -> str:
    lines = [f"  {name}: read up to “…{read[-_END:]}”" for name, read in cut]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(lines[:_SHOWN] + more)
