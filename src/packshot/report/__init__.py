"""The report page, the pages of captions and of masks, and the LoRA's model card."""

from typing import TYPE_CHECKING

from packshot.images.contact_sheet import contact_sheet
from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
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
__getattr__ = on_demand(
    __name__,
    {
        "write_caption_page": "caption_page",
        "write_mask_page": "mask_page",
        "write_model_card": "model_card",
        "write_report": "page",
    },
)
