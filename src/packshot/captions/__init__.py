"""Captions: a prompt for each photo, with trigger, class noun and a description of the rest."""

from typing import TYPE_CHECKING

from packshot.captions.caption_photos import caption_photos
from packshot.captions.captioner import Captioner
from packshot.captions.csv_table import apply_caption_table, write_caption_table
from packshot.captions.edit import (
    EditedCaptions,
    edit_captions,
    lock_captions,
    replace_in_captions,
    unlock_captions,
)
from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.captions.registry import captioner_for, load_captioner

__all__ = [
    "Captioner",
    "EditedCaptions",
    "apply_caption_table",
    "caption_photos",
    "captioner_for",
    "edit_captions",
    "load_captioner",
    "lock_captions",
    "replace_in_captions",
    "unlock_captions",
    "write_caption_table",
]
__getattr__ = on_demand(__name__, dict.fromkeys(("captioner_for", "load_captioner"), "registry"))
