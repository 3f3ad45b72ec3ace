"""Photo-insertion (*fotoinserimento*): the product into a photo that is there already.

plate -> placement -> cut-out or painting -> shadow -> harmony -> stitch -> checks -> sheet
"""

from packshot.insertion.inserting import Insertion, insert
from packshot.insertion.placement import Box, Placement, suggest
from packshot.insertion.plate import Plate, read_plate
from packshot.insertion.settings import InsertionSettings

__all__ = [
    "Box", "Insertion", "InsertionSettings", "Placement", "Plate", "insert", "read_plate", "suggest",
]  # fmt: skip
