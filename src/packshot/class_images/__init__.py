"""Class images: images of the class, not of the product, so that the base does not forget the class.

(Prior preservation, DreamBooth, arXiv 2208.12242, section 3.2; kohya's "regularization images".)
"""

from typing import TYPE_CHECKING

from packshot.class_images.class_image import ClassImage
from packshot.class_images.manifest import list_class_images, require_unchanged
from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.class_images.collect import add_class_images, collect_class_images

__all__ = [
    "ClassImage",
    "add_class_images",
    "collect_class_images",
    "list_class_images",
    "require_unchanged",
]
__getattr__ = on_demand(
    __name__, dict.fromkeys(("add_class_images", "collect_class_images"), "collect")
)
