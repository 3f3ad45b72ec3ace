"""Photo insertion (*fotoinserimento*): putting the product into an existing photo.

background -> placement -> composite or inpainting -> shadow -> harmonization -> stitch -> checks -> sheet
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
