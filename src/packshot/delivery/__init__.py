"""What leaves a project: LoRA files, pictures, shop pictures and the report, also as one ZIP.

A picture leaves in another format by `conversion.convert`.
"""

from typing import TYPE_CHECKING

from packshot.delivery.shop_formats import SHOP_FORMATS, ShopFormat
from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.delivery.delivery import PARTS, Delivery, deliver_project

__all__ = ["PARTS", "SHOP_FORMATS", "Delivery", "ShopFormat", "deliver_project"]
__getattr__ = on_demand(
    __name__, dict.fromkeys(("PARTS", "Delivery", "deliver_project"), "delivery")
)
