"""Contact sheets and the report page."""

from packshot.report.page import write_report
from packshot.report.sheet import contact_sheet

__all__ = ["contact_sheet", "write_report"]
