"""Provenance: every picture that is made says what it is, machine-readably, and signed.

Content Credentials (C2PA) tell what made a picture and of what, IPTC's `DigitalSourceType` stands in
its XMP. Nothing leaves the machine, unless a company names a time stamp authority.
"""

from packshot.provenance.marking import Claim, Ingredient, Marking
from packshot.provenance.verify import Statement, verify
from packshot.provenance.xmp import Rights

__all__ = ["Claim", "Ingredient", "Marking", "Rights", "Statement", "verify"]
