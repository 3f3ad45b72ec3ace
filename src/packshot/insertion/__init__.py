"""Photo insertion (*fotoinserimento*): putting the product into an existing photo.

background -> placement -> composite or inpainting -> shadow -> harmonization -> stitch -> checks -> sheet
"""

from typing import TYPE_CHECKING

from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.insertion.background import Background, load_background
    from packshot.insertion.insert import Insertion
    from packshot.insertion.placement import Box, Placement, suggest
    from packshot.insertion.settings import InsertionSettings

__all__ = [
    "Background",
    "Box",
    "Insertion",
    "InsertionSettings",
    "Placement",
    "load_background",
    "suggest",
]
# On demand: records and plates are read by who has no use for PyTorch. The function `insert` is in
# its module, whose name would be found in its place.
__getattr__ = on_demand(
    __name__,
    {
        "Background": "background",
        "Box": "placement",
        "Insertion": "insert",
        "InsertionSettings": "settings",
        "Placement": "placement",
        "load_background": "background",
        "suggest": "placement",
    },
)
