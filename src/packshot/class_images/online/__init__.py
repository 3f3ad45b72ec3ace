"""Class images from online sources, lists of URLs, and img2dataset's output.

Openverse and Wikimedia Commons give each image's author and licence. Unsplash and Pexels are not
supported: their terms forbid training.
"""

from typing import TYPE_CHECKING

from packshot.class_images.online.offers import read_offers
from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.class_images.online.collect import (
        ClassImageResult,
        download_class_images,
        list_offers,
        plain_folder,
    )

__all__ = [
    "ClassImageResult",
    "download_class_images",
    "list_offers",
    "plain_folder",
    "read_offers",
]
__getattr__ = on_demand(
    __name__,
    dict.fromkeys(
        ("ClassImageResult", "download_class_images", "list_offers", "plain_folder"), "collect"
    ),
)
