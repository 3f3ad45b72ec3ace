"""Captions: a prompt for each photo, with trigger, class noun and a description of the rest."""

from packshot.captions.caption_photos import caption_photos
from packshot.captions.captioner import Captioner
from packshot.captions.csv_table import apply_caption_table, write_caption_table
from packshot.captions.edit import (
    EditedCaptions,
    lock_captions,
    replace_in_captions,
    unlock_captions,
)
from packshot.captions.registry import captioner_for, load_captioner

__all__ = [
    "Captioner",
    "EditedCaptions",
    "apply_caption_table",
    "caption_photos",
    "captioner_for",
    "load_captioner",
    "lock_captions",
    "replace_in_captions",
    "unlock_captions",
    "write_caption_table",
]
