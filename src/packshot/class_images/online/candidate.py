"""`Candidate`: an image offered by a source, not yet downloaded."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from packshot.class_images.online.licences import UNTOLD, licence_name
from packshot.errors import ClassImagesError

MOST_LETTERS = 300


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes in a local file: `size` of them, from `start`."""

    path: Path
    start: int
    size: int

    def read(self) -> bytes:
        """The bytes.

        Raises:
            ClassImagesError: the file is gone or cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        except OSError as error:
            raise ClassImagesError(f"{self.path} cannot be read ({error.strerror}).") from error


class Candidate(BaseModel):
    """An offered image's URL and metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: str
    source: str
    """The web page of the image."""
    title: str = ""
    author: str = "unknown"
    licence: str = UNTOLD
    licence_url: str = ""
    prompt: str = ""
    width: int | None = None
    height: int | None = None
    stored: Stored | None = Field(default=None, exclude=True)
    """Its bytes, if they are on this machine already."""

    @field_validator("*", mode="before")
    @classmethod
    def _whole_letters(cls, value: object) -> object:
        """Half a surrogate pair, which JSON may hold and UTF-8 not, becomes "?"."""
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value

    @field_validator("width", "height", mode="before")
    @classmethod
    def _pixels(cls, value: object) -> object:
        """What is no number of pixels is unknown: the image itself tells."""
        return value if isinstance(value, int) and value > 0 else None


def plain(text: object) -> str:
    """Untrusted text, maybe HTML, as one short printable line."""
    words = html.unescape(re.sub(r"<[^<>]*>", " ", str(text or "")[: 20 * MOST_LETTERS]))
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line[:MOST_LETTERS]


_COLUMNS = {
    "source": ("source", "page", "foreign_landing_url", "descriptionurl"),
    "title": ("title",),
    "author": ("author", "creator", "photographer", "artist"),
    "licence": ("licence", "license"),
    "licence_version": ("licence_version", "license_version"),
    "licence_url": ("licence_url", "license_url"),
    "prompt": ("prompt", "caption", "text"),
}


def make_candidate(url: str, row: Mapping[str, Any], stored: Stored | None = None) -> Candidate:
    """A candidate from a row of a user's table with the usual column names."""
    metadata = {
        field: next((plain(row[name]) for name in names if row.get(name)), "")
        for field, names in _COLUMNS.items()
    }
    licence = f"{metadata['licence']} {metadata['licence_version']}".strip()
    return Candidate(
        url=url,
        source=metadata["source"] or url,
        title=metadata["title"],
        author=metadata["author"] or "unknown",
        licence=licence_name(licence, metadata["licence_url"]),
        licence_url=metadata["licence_url"],
        prompt=metadata["prompt"],
        stored=stored,
    )
