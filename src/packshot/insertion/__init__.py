"""Photo-insertion (*fotoinserimento*): the product into a photo that is there already.

background -> placement -> cut-out or painting -> shadow -> harmony -> stitch -> checks -> sheet
"""

from packshot.insertion.background import Background, load_background
from packshot.insertion.insert import Insertion, insert
from packshot.insertion.placement import Box, Placement, suggest
from packshot.insertion.settings import InsertionSettings

__all__ = [
    "Background",
    "Box",
    "Insertion",
    "InsertionSettings",
    "Placement",
    "insert",
    "load_background",
    "suggest",
]
