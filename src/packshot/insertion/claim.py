"""What an insertion says of itself: an edit of the background, with the product's photo in it."""

from __future__ import annotations

from packshot.insertion.background import Background
from packshot.insertion.cutouts import CutOut
from packshot.insertion.record import InsertionRecord
from packshot.provenance.marking import (
    COMPOSITE,
    COMPOSITE_WITH_MODEL,
    PNG,
    Claim,
    Ingredient,
    mime_of,
)
from packshot.provenance.verify import verify


def claim_of(
    record: InsertionRecord, background: Background, cut: CutOut | None, by_a_model: bool
) -> Claim:
    """The claim of an insertion.

    Args:
        by_a_model: whether a diffusion model painted the product, or refined its cut-out. A background
            that says of itself that one made it counts, too.
    """
    ingredients = [_parent(background)]
    if cut:
        photo = cut.photo.file.read_bytes()
        if mime := mime_of(photo):
            ingredients.append(Ingredient(cut.photo.file.name, "componentOf", photo, mime))
    details = {"box": record.box, "seed": record.seed, "photo": record.photo}
    if background.source:
        by_a_model |= verify(background.source, seeks_watermark=False).is_generated
    kind = COMPOSITE_WITH_MODEL if by_a_model else COMPOSITE
    return Claim(record.file, kind, details, tuple(ingredients), watermark=record.watermark)


def _parent(background: Background) -> Ingredient:
    """The background's own file with its own credentials, where C2PA knows its format."""
    data = background.source.read_bytes() if background.source else b""
    mime = mime_of(data)
    if mime is None:
        data, mime = background.as_png(), PNG
    return Ingredient(background.name, "parentOf", data, mime)
