"""What a user should know before training on a base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from packshot.images.buckets import bucket, cut_share
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.precision import best_dtype, explain, has_fp16
from packshot.photos.photo_set import Photo
from packshot.settings import Subject

_MOST_CUT = 0.15
"""Of a photo's area: what its ends may lose to the shape of its bucket before that is told."""


def notes_on(
    base: DiffusionModel,
    photos: Sequence[Photo] = (),
    subject: Subject | None = None,
    *,
    has_assistant: bool = False,
) -> list[str]:
    """What a user should know before training on this base, with these photos of a subject."""
    notes = []
    if base.is_step_distilled and not has_assistant:
        notes.append(
            f"{base.name} was distilled to few steps, and loses them when it is trained: pictures get "
            "soft. Train on the undistilled base of its family, then: packshot shoot --base with this "
            "one. Or beside a training adapter for it: packshot plan --assistant FILE."
        )
    narrow = best_dtype(base.device, base.family) == base.dtype == torch.float32
    if narrow and has_fp16(base.device):
        why = explain(base.device, base.family, base.dtype)
        notes.append(
            f"{base.name} computes in fp32: {why}. It takes up to twice the memory and several times "
            "the time of a GPU with bf16 (RTX 30 and later). SD 1.5 and SDXL compute in fp16 here."
        )
    if subject:
        notes += _without_trigger(photos, subject)
    return [*notes, *_cut_photos(base, photos)]


def _without_trigger(photos: Sequence[Photo], subject: Subject) -> Iterator[str]:
    """A note on photos whose captions, such as a person's from elsewhere, do not name the product."""
    lacking = [
        photo.file.name
        for photo in photos
        if photo.caption and not subject.is_named_in(photo.caption)
    ]
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        yield (
            f"the trigger {subject.trigger!r} is not in the captions of {', '.join(lacking[:5])}{more}: what "
            "they show is not learnt for it, and prompts with it may not show the product. Put it in: "
            "packshot caption --review, or --replace"
        )


def _cut_photos(base: DiffusionModel, photos: Sequence[Photo]) -> Iterator[str]:
    """A note on photos that are longer than any bucket."""
    cut = []
    for photo in photos:
        size = bucket(photo.width, photo.height, base.native_pixels, base.pixel_multiple)
        if (share := cut_share(photo.width, photo.height, size)) > _MOST_CUT:
            cut.append(f"{photo.file.name} {share:.0%}")
    if cut:
        more = f" and {len(cut) - 5} more" if len(cut) > 5 else ""
        yield (
            f"too long or too wide for the shapes in which {base.name} is trained, so their ends are "
            f"cut: {', '.join(cut[:5])}{more}. Crop them around the product yourself."
        )
