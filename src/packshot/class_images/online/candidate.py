"""A picture that somebody offers, not yet fetched."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from packshot.class_images.online.licences import UNTOLD, licence_name
from packshot.errors import ClassImagesError

MOST_LETTERS = 300


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that lie on this machine already: `size` of them in a file, from `start`."""

    path: Path
    start: int
    size: int

    def read(self) -> bytes:
        """The bytes.

        Raises:
            ClassImagesError: the file has gone since, or may not be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        except OSError as error:
            raise ClassImagesError(f"{self.path} cannot be read ({error.strerror}).") from error


class Candidate(BaseModel):
    """What is told of a picture: where it lies, where people see it, whose it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: str
    source: str
    """The page that shows it."""
    title: str = ""
    author: str = "unknown"
    licence: str = UNTOLD
    licence_url: str = ""
    prompt: str = ""
    width: int | None = None
    height: int | None = None
    stored: Stored | None = Field(default=None, exclude=True)
    """Where its bytes lie, if they need not be asked for."""


def plain(text: object) -> str:
    """What a stranger wrote, maybe in HTML, as one short printable line."""
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


def told_candidate(url: str, row: Mapping[str, Any], stored: Stored | None = None) -> Candidate:
    """A candidate with what a table of somebody's tells of it, in the columns that are usual."""
    told = {
        field: next((plain(row[name]) for name in names if row.get(name)), "")
        for field, names in _COLUMNS.items()
    }
    licence = f"{told['licence']} {told['licence_version']}".strip()
    return Candidate(
        url=url,
        source=told["source"] or url,
        title=told["title"],
        author=told["author"] or "unknown",
        licence=licence_name(licence, told["licence_url"]),
        licence_url=told["licence_url"],
        prompt=told["prompt"],
        stored=stored,
    )
