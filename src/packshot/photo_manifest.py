"""photos/manifest.json: where each photo came from, and which side-cars are Packshot's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot import files
from packshot.errors import ProjectError
from packshot.project import Project, describe

Box = tuple[int, int, int, int]
"""Left, upper, width, height: pixels of the upright photo."""


class Blurred(BaseModel):
    """What was looked for in a photo, by what, and where it was found and blurred."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: str
    by: str
    boxes: list[Box]


class Entry(BaseModel):
    """One photo. Side-cars are remembered by their hashes, so that a person's edits are seen."""

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
    written_mask: str | None = None
    masked_by: str | None = None
    """The segmenter that found our mask; none found one that was carried."""
    former_mask: str | None = None
    """What its mask was before: it may still stand, if we were killed between record and mask."""
    blurred: list[Blurred] = []


class Manifest(BaseModel):
    """All photos of a project, in the order of their names."""

    model_config = ConfigDict(extra="forbid")
    photos: list[Entry] = []


def read(project: Project) -> Manifest:
    """The project's manifest; an empty one where none stands.

    Raises:
        ProjectError: it is damaged.
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
    """Write the manifest, unless it stands so already."""
    data = (manifest.model_dump_json(indent=2) + "\n").encode()
    path = project.photos_manifest
    if not path.is_file() or path.read_bytes() != data:
        files.write_bytes(path, data)


def segmenter_of(entry: Entry, mask: Path) -> str | None:
    """The segmenter whose mask stands there, untouched; None if it is a person's, or there is none."""
    if entry.masked_by is None or not mask.is_file():
        return None
    ours = files.sha256(mask) in (entry.written_mask, entry.former_mask)
    return entry.masked_by if ours else None


def is_ours(path: Path, written: str | None) -> bool:
    """Whether a side-car may be written over: none is there, or it is just as we last wrote it."""
    return not path.exists() or files.sha256(path) == written
