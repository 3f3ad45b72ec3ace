"""The page for reviewing captions: photos and captions on one self-contained page."""

from __future__ import annotations

from pathlib import Path

from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.report.page import rendered
from packshot.report.pictures import thumbnail
from packshot.utils import files


def write_caption_page(project: Project) -> Path:
    """Write `captions.html`; the captions are edited in `captions.csv` next to it.

    The page works offline: it contains thumbnails, which link to the image files.

    Raises:
        ProjectError: the manifest of the photos is damaged.
    """
    photos = [
        {
            "picture": thumbnail(project.root, photo.file, photo.file.name),
            "caption": photo.caption or "",
            "source": photo.caption_by or "",
            "locked": photo.caption_locked,
        }
        for photo in list_photos(project)
    ]
    facts = {"subject": project.subject, "photos": photos, "table": project.captions_table.name}
    files.write_text(project.captions_page, rendered("caption_page.html.jinja", facts))
    return project.captions_page
