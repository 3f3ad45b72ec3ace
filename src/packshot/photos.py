"""Photos of the product: taken into the project, or refused with a reason; and what stands there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packshot import files, inspection, photo_manifest, side_cars
from packshot.errors import PhotosRefused
from packshot.intake import Intake
from packshot.photo_manifest import Entry
from packshot.pictures import header_size, open_image
from packshot.progress import Progress, silent
from packshot.project import Project

if TYPE_CHECKING:
    from PIL import Image

MIN_SIDE = 128
"""Pixels. What the smallest base is trained at; less could not fill any picture."""
PICTURE_ENDINGS = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".heic", ".heif", ".hif",
        ".avif", ".gif", ".bmp", ".tif", ".tiff", ".jxl", ".jp2", ".psd", ".svg",
        ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef",
    )
)  # fmt: skip
"""Files that are meant as pictures. Those that we cannot read are refused, not passed over."""


@dataclass(frozen=True)
class Photo:
    """One accepted picture of the product, upright; caption and mask are those that stand now."""

    file: Path
    sha256: str
    width: int
    height: int
    caption: str | None
    mask: Path | None
    source: str
    """Name of the file that it was made from."""
    why: str
    """Why it was accepted."""


@dataclass(frozen=True)
class Accepted:
    """What became of some files: the photos they are in the project; which were refused, and why."""

    photos: list[Photo]
    refused: dict[str, str]


def add_photos(
    project: Project,
    source: Path | Sequence[Path],
    progress: Progress = silent,
    *,
    min_side: int = MIN_SIDE,
    min_sharpness: float = inspection.MIN_SHARPNESS,
) -> Accepted:
    """Take photos into the project: a folder of them, one file, or several of either.

    Each is written upright and without GPS data, with its side-car caption and mask if it has any.
    Nothing in the source is touched. Run again, it redoes only what has changed: known photos are
    kept, those gone from the source stay, a caption that a person has edited is not overwritten.
    refused.json lists what this call refused.

    Args:
        min_side: pixels that the shorter side must have.
        min_sharpness: see `inspection.sharpness`.

    Raises:
        PhotosRefused: there is no such source, no photo in it, or none that can be used.
        ProjectError: the project is in use, or its manifest is damaged.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    where = ", ".join(map(str, sources))
    return take_in(
        project, _find(sources), where, progress, min_side=min_side, min_sharpness=min_sharpness
    )


def take_in(
    project: Project,
    found: Sequence[Path],
    where: str,
    progress: Progress = silent,
    *,
    refused: Mapping[str, str] | None = None,
    min_side: int = MIN_SIDE,
    min_sharpness: float = inspection.MIN_SHARPNESS,
) -> Accepted:
    """As `add_photos`, of these very files.

    Args:
        where: what messages call the place that they come from.
        refused: what was refused before, to be told with the others.
    """
    with project.held():
        intake = Intake(project, min_side, min_sharpness)
        intake.refused |= refused or {}
        for done, path in enumerate(sorted(found, key=_larger_first), start=1):
            intake.take(path)
            progress("photos", done, len(found))
        told = dict(sorted(intake.refused.items()))
        files.write_json(project.refused_file, told)
        if not intake.taken:
            raise PhotosRefused(_none_left(where, told))
        return Accepted([p for p in photos(project) if p.file.name in intake.taken], told)


def photos(project: Project) -> list[Photo]:
    """The project's photos as they stand, in the order of their names.

    One that a person has taken out of the folder is no longer among them; of one that a person
    has retouched there, hash and size are those of now.

    Raises:
        ProjectError: the manifest is damaged.
        PictureRefused: a photo that was changed in the project is none any more.
    """
    entries = photo_manifest.read(project).photos
    listed = ((files.contained(project.photos_folder, entry.file), entry) for entry in entries)
    return [_photo(project, path, entry) for path, entry in listed if path.is_file()]


def _photo(project: Project, path: Path, entry: Entry) -> Photo:
    sha256, size = files.sha256(path), (entry.width, entry.height)
    if sha256 != entry.sha256:
        size = open_image(path).size
    caption, mask = path.with_suffix(".txt"), project.masks_folder / f"{path.stem}.png"
    return Photo(
        file=path,
        sha256=sha256,
        width=size[0],
        height=size[1],
        caption=(side_cars.read_caption(caption) or None) if caption.is_file() else None,
        mask=mask if mask.is_file() else None,
        source=entry.source,
        why=entry.why,
    )


def write_captions(project: Project, captions: Iterable[tuple[Photo, str]]) -> None:
    """Write side-car captions, noting that they are Packshot's and no person's."""
    manifest = photo_manifest.read(project)
    entries = {entry.file: entry for entry in manifest.photos}
    for photo, text in captions:
        path = photo.file.with_suffix(".txt")
        files.write_text(path, text + "\n")
        entries[photo.file.name].written_caption = files.sha256(path)
    photo_manifest.write(project, manifest)


def write_mask(project: Project, photo: Photo, mask: Image.Image) -> None:
    """Write a photo's mask, noting that it is Packshot's and no person's."""
    path = project.masks_folder / f"{photo.file.stem}.png"
    files.write_image(path, mask)
    manifest = photo_manifest.read(project)
    for entry in manifest.photos:
        if entry.file == photo.file.name:
            entry.written_mask = files.sha256(path)
    photo_manifest.write(project, manifest)


def picture_files(folder: Path) -> Iterator[Path]:
    """Files in a folder that are meant as pictures, by their names; hidden ones are passed over."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_ENDINGS and path.name[0] != "." and path.is_file():
            yield path


def _find(sources: Sequence[Path]) -> list[Path]:
    """The files to look at: what was named, and what in named folders is meant as a picture."""
    found: dict[Path, None] = {}
    for source in sources:
        if not source.exists():
            raise PhotosRefused(
                f"There is no {source}. Name a folder with photos of your product, or one photo."
            )
        found |= dict.fromkeys(picture_files(source) if source.is_dir() else [source])
    if not found:
        raise PhotosRefused(_no_photos(sources))
    return list(found)


def _no_photos(sources: Sequence[Path]) -> str:
    named = ", ".join(map(str, sources)) or "What you named"
    folders = (inner for source in sources for inner in sorted(source.iterdir()) if inner.is_dir())
    inside = next((folder for folder in folders if any(picture_files(folder))), None)
    hint = f" Its folder {inside} does: name that one." if inside else ""
    return f"{named} holds no photos (JPEG, PNG, WebP or HEIC).{hint}"


def _none_left(where: str, refused: dict[str, str]) -> str:
    lines = [f"  {name}: {reason}" for name, reason in refused.items()]
    more = [f"  and {len(lines) - 20} more, listed in refused.json"] if len(lines) > 20 else []
    return "\n".join([f"No photo in {where} can be used:", *lines[:20], *more])


def _larger_first(path: Path) -> tuple[int, str]:
    """Of two copies the larger is to stay."""
    width, height = header_size(path) or (0, 0)
    return -width * height, path.name


__all__ = [
    "PICTURE_ENDINGS",
    "Accepted",
    "Photo",
    "add_photos",
    "open_image",
    "photos",
    "picture_files",
    "take_in",
    "write_captions",
    "write_mask",
]
