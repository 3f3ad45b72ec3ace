"""Class images: images of the class, not of the product, so that the base does not forget the class.

(Prior preservation, DreamBooth, arXiv 2208.12242, section 3.2; kohya's "regularization images".)
"""

from packshot.class_images.class_image import ClassImage
from packshot.class_images.collect import add_class_images, collect_class_images
from packshot.class_images.manifest import list_class_images, require_unchanged

__all__ = [
    "ClassImage",
    "add_class_images",
    "collect_class_images",
    "list_class_images",
    "require_unchanged",
]
