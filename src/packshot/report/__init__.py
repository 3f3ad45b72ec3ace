"""The report page, and the pages of captions and of masks."""

from packshot.images.contact_sheet import contact_sheet
from packshot.report.caption_page import write_caption_page
from packshot.report.mask_page import write_mask_page
from packshot.report.model_card import write_model_card
from packshot.report.page import write_report

__all__ = [
    "contact_sheet",
    "write_caption_page",
    "write_mask_page",
    "write_model_card",
    "write_report",
]
