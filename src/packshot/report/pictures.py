"""Pictures on a page that works offline: thumbnails in it, and links to their files."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from packshot.errors import ImageRejectedError
from packshot.images.loading import open_image

THUMBNAIL_PIXELS = 320


def thumbnail(
    root: Path | None, file: Path, text: str, pixels: int = THUMBNAIL_PIXELS
) -> dict[str, str]:
    """A thumbnail: data URI, link to the image file, alternative text.

    Of a file that is no image there is the text alone, with the reason.

    Args:
        root: the page's folder; None for a file outside, to which no page can link.
    """
    href = link(root, file) if root else ""
    try:
        small = open_image(file)
    except ImageRejectedError as error:
        return {"src": "", "href": href, "text": f"{text} ({file.name} {error.reason})"}
    small.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"src": f"data:image/jpeg;base64,{data}", "href": href, "text": text}


def link(root: Path, file: Path) -> str:
    """The address of a file in the page's folder, from the page."""
    return quote(file.relative_to(root).as_posix())
