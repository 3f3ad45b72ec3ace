"""Class images from online sources, lists of URLs, and img2dataset's output.

Openverse and Wikimedia Commons give each image's author and licence. Unsplash and Pexels are not
supported: their terms forbid training.
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
