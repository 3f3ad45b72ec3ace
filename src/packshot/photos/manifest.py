"""photos/manifest.json: the source of each photo, and which side-cars were generated."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot.errors import ProjectError
from packshot.project import Project
from packshot.utils import files, hashing
from packshot.utils.validation import describe

PERSON = "person"
"""Who wrote a caption that Packshot did not, or that was changed since."""
PACKSHOT = "packshot"
"""Who wrote a caption before captioners left their names."""

Box = tuple[int, int, int, int]
"""Left, upper, width, height: pixels of the upright photo."""


class Blurred(BaseModel):
    """One search of a photo for a kind of thing: the detector, and the boxes that were blurred."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: str
    by: str
    boxes: list[Box]


class Entry(BaseModel):
    """One photo. Side-cars are recorded by their hashes, so that a person's edits are detected."""

    model_config = ConfigDict(extra="forbid")
    source: str
    """The name of the file that it was made from."""
    source_sha256: str
    file: str
    sha256: str
    pixels_sha256: str
    perceptual_hash: str = Field(pattern="^[0-9a-f]{64}$")
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    why: str
    carried_caption: str | None = None
    """The source's side-car when it was last brought along."""
    carried_mask: str | None = None
    written_caption: str | None = None
    """Our side-car as Packshot last wrote it: if another stands, a person has edited it."""
    caption_by: str | None = None
    """The captioner that wrote `written_caption`."""
    promised_caption: str | None = None
    """What is about to be written, by whom: killed in between, the old or the new one is ours."""
    promised_by: str | None = None
    caption_locked: bool = False
    """A person wants it to stay just as it is."""
    written_mask: str | None = None
    masked_by: str | None = None
    """The segmenter that found our mask; none found one that was carried."""
    mask_doubt: float | None = Field(default=None, ge=0, le=1)
    """How far that segmenter's ways of finding it disagreed; None if it did not tell."""
    missed_by: str | None = None
    """The segmenter that found no product in it."""
    former_mask: str | None = None
    """What its mask was before: it may still stand, if we were killed between record and mask."""
    blurred: list[Blurred] = []


class Manifest(BaseModel):
    """All photos of a project, sorted by name."""

    model_config = ConfigDict(extra="forbid")
    photos: list[Entry] = []


def read(project: Project) -> Manifest:
    """Read the project's manifest; an empty one if there is none.

    Raises:
        ProjectError: the manifest is damaged.
    """
    path = project.photos_manifest
    if not path.is_file():
        return Manifest()
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ProjectError(
            f"{path} is damaged ({describe(error)[:300]}). Move it away and add the photos again."
        ) from error


def write(project: Project, manifest: Manifest) -> None:
    """Write the manifest if it has changed."""
    data = (manifest.model_dump_json(indent=2) + "\n").encode()
    path = project.photos_manifest
    if not path.is_file() or path.read_bytes() != data:
        files.write_bytes(path, data)


def segmenter_of(entry: Entry, mask: Path) -> str | None:
    """The segmenter of the current mask; None if a person drew or changed it, or there is none."""
    if entry.masked_by is None or not mask.is_file():
        return None
    ours = hashing.sha256(mask) in (entry.written_mask, entry.former_mask)
    return entry.masked_by if ours else None


def is_ours(path: Path, written: str | None) -> bool:
    """Whether a side-car may be overwritten: there is none, or it is as Packshot wrote it."""
    return not path.exists() or hashing.sha256(path) == written


def caption_is_ours(path: Path, entry: Entry) -> bool:
    """Whether a caption may be overwritten: not locked, and absent or as Packshot wrote it."""
    if entry.caption_locked:
        return False
    return is_ours(path, entry.written_caption) or is_ours(path, entry.promised_caption)


def caption_author(path: Path, entry: Entry) -> str | None:
    """The author of the caption at `path`: a captioner's name, or "person"; None if there is none."""
    if not path.is_file():
        return None
    current = hashing.sha256(path)
    if current == entry.promised_caption:
        return entry.promised_by
    if current != entry.written_caption:
        return PERSON
    # One that came with the photo was written by a person, whoever copied it.
    return entry.caption_by or (PERSON if entry.carried_caption else PACKSHOT)


def begin_caption_write(path: Path, entry: Entry, sha256: str | None, by: str | None) -> None:
    """Record the caption about to be written to `path` and its author; None for a person's."""
    if path.is_file() and hashing.sha256(path) == entry.promised_caption:
        commit_caption_write(entry)  # of a command that was killed before it could note that
    entry.promised_caption, entry.promised_by = sha256, by


def commit_caption_write(entry: Entry) -> None:
    """Record that the announced caption was written."""
    entry.written_caption, entry.caption_by = entry.promised_caption, entry.promised_by
    entry.promised_caption = entry.promised_by = None
