"""Class images from repositories on the network, and from lists of what was found there before.

Openverse and Wikimedia Commons say of each picture who made it and under which licence. Unsplash
and Pexels are not here: their terms bar training.
"""

from packshot.class_images.online.collect import (
    ClassImageResult,
    download_class_images,
    plain_folder,
)

__all__ = [
    "ClassImageResult",
    "download_class_images",
    "plain_folder",
]
