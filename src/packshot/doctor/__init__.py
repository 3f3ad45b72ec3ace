"""What a user runs first, and sends with a bug report: does Packshot work here, and with this base?"""

from packshot.doctor.examine import examine
from packshot.doctor.report import DoctorReport, Finding

__all__ = ["DoctorReport", "Finding", "examine"]
