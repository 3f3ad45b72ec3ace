"""The report page and the page of captions."""

from packshot.images.contact_sheet import contact_sheet
from packshot.report.caption_page import write_caption_page
from packshot.report.page import write_report

__all__ = [
    "contact_sheet",
    "write_caption_page",
    "write_report",
]
