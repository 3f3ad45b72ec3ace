"""The project's photos: adding and listing them, and writing their captions and masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.errors import ImageRejectedError, NoUsablePhotosError
from packshot.images import quality, sidecars, sources, video
from packshot.images.caption_text import Syntax
from packshot.images.loading import header_size, open_image
from packshot.images.refusals import read_refusals, write_refusals
from packshot.photos import manifest as photo_manifest
from packshot.photos.ingest import Ingest
from packshot.photos.manifest import Blurred, Entry
from packshot.project import Project
from packshot.settings import Subject
from packshot.utils import files, hashing, pathnames, serialization
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from PIL import Image

MIN_SIDE = 128
"""Pixels. What the smallest base is trained at; less could not fill any picture."""


SHARP_ENOUGH = 0.9
"""Of a picture's side: photos a little smaller do no harm that anyone sees."""


@dataclass(frozen=True)
class Photo:
    """One accepted photo of the product, upright, with its current caption and mask.

    In the caption the placeholders, such as `[trigger]`, are filled.
    """

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
    masked_by: str | None = None
    """The segmenter that found the mask; None if a person drew or changed it."""
    mask_doubt: float | None = None
    """0 if all of that segmenter's ways of finding the mask agree, towards 1 the less they do; None if
    it did not tell."""
    missed_by: str | None = None
    """The segmenter that found no product in it."""
    blurred: tuple[Blurred, ...] = ()
    """What was looked for in it to be blurred, and where it was."""
    caption_by: str | None = None
    """Who wrote the caption: "person", or a captioner's name."""
    caption_locked: bool = False
    """No command changes the caption."""


DOUBTFUL = 0.1
"""From this doubt on a generated mask is likely to be wrong somewhere."""


def is_doubtful(photo: Photo) -> bool:
    """Whether a photo's generated mask should be looked at first."""
    return (photo.mask_doubt or 0) >= DOUBTFUL


@dataclass(frozen=True)
class IngestResult:
    """The project's photos from some files, and the refused files with the reasons."""

    photos: list[Photo]
    refused: dict[str, str]


def add_photos(
    project: Project,
    source: Path | Sequence[Path],
    progress: Progress = silent,
    *,
    min_side: int = MIN_SIDE,
    min_sharpness: float = quality.MIN_SHARPNESS,
    frames: int = video.FRAMES,
    anew: bool = True,
) -> IngestResult:
    """Add photos to the project, from folders or files, including ZIPs and videos (sharp frames).

    Each is written upright and without GPS data, with its side-car caption and mask if it has any. A
    cut-out without a side-car mask brings its transparency as one.
    The source is not changed. Called again, it redoes only what has changed: known photos are kept,
    also those deleted from the source, and captions that a person has edited are not overwritten.
    refused.json lists what this call refused.

    Args:
        min_side: least pixels of the shorter side.
        min_sharpness: see `packshot.images.quality.sharpness`.
        frames: the most frames taken from a video.
        anew: whether photos that were taken out of the project, or deleted in it, come back.

    Raises:
        NoUsablePhotosError: there is no such source, or no usable photo in it.
        ProjectError: the project is in use, or its manifest is damaged.
    """
    named = [source] if isinstance(source, Path) else list(source)
    where = ", ".join(map(str, named))
    with sources.unpacked(sources.find(named), frames, progress) as (found, refused):
        return ingest(
            project, found, where, progress, syntax=Syntax(),
            refused=refused, min_side=min_side, min_sharpness=min_sharpness, anew=anew,
        )  # fmt: skip


def ingest(
    project: Project,
    found: Sequence[Path],
    where: str,
    progress: Progress = silent,
    *,
    syntax: Syntax | None = None,
    refused: Mapping[str, str] | None = None,
    min_side: int = MIN_SIDE,
    min_sharpness: float = quality.MIN_SHARPNESS,
    has_own_masks: bool = True,
    anew: bool = True,
) -> IngestResult:
    """As `add_photos`, for these files.

    Args:
        where: the source's name in messages.
        syntax: how captions are read; None if they were read before, and are one line.
        refused: files that were refused before, with the reasons, to be reported with the others.
        has_own_masks: whether the transparency of cut-outs is their mask.
        anew: as of `add_photos`.
    """
    with project.held():
        intake = Ingest(
            project, min_side, min_sharpness,
            syntax=syntax, has_own_masks=has_own_masks, anew=anew,
        )  # fmt: skip
        intake.refused |= refused or {}
        if read_refusals(project.refused_file) != intake.refused:  # an earlier call's
            write_refusals(project.refused_file, intake.refused)
        for done, path in enumerate(sorted(found, key=_larger_first), start=1):
            known = len(intake.refused)
            intake.add(path)
            if len(intake.refused) > known:  # whoever watches learns of it now
                write_refusals(project.refused_file, intake.refused)
            progress("photos", done, len(found))
        reasons = dict(sorted(intake.refused.items()))
        write_refusals(project.refused_file, reasons)
        if not intake.accepted:
            raise NoUsablePhotosError(_none_left(where, reasons))
        return IngestResult(
            [p for p in list_photos(project) if p.file.name in intake.accepted], reasons
        )


def list_photos(project: Project, refused: dict[str, str] | None = None) -> list[Photo]:
    """The project's current photos, sorted by name.

    Photos that a person has deleted from the folder are left out; of photos retouched there, hash
    and size are the current ones.

    Args:
        refused: receives photos that are no longer images, with the reasons, instead of an error.

    Raises:
        ProjectError: the manifest is damaged.
        ImageRejectedError: a photo that was changed in the project is no longer an image.
    """
    entries = photo_manifest.read(project).photos
    listed = ((pathnames.safe_join(project.photos_folder, entry.file), entry) for entry in entries)
    there = [(path, entry) for path, entry in listed if path.is_file()]
    if not there:
        return []
    subject, photos = project.subject, []
    for path, entry in there:
        try:
            photos.append(_photo(project, subject, path, entry))
        except ImageRejectedError as error:
            if refused is None:
                raise
            refused[entry.file] = error.reason
    return photos


def require_photos(project: Project, refused: dict[str, str] | None = None) -> list[Photo]:
    """As `list_photos`, but at least one photo is required.

    Raises:
        NoUsablePhotosError: the project has no photos.
        ProjectError, ImageRejectedError: as `list_photos`.
    """
    if photos := list_photos(project, refused):
        return photos
    if refused:
        raise NoUsablePhotosError(_none_left(str(project.photos_folder), refused))
    raise NoUsablePhotosError(f"{project.root} has no photos yet. Add some: packshot photos FOLDER")


def _photo(project: Project, subject: Subject, path: Path, entry: Entry) -> Photo:
    sha256, size = hashing.known_sha256(path), (entry.width, entry.height)
    if sha256 != entry.sha256:
        size = open_image(path).size
    caption = sidecars.find_beside(path.parent, path.stem, ".txt") or path.with_suffix(".txt")
    mask = sidecars.find_beside(project.masks_folder, path.stem, ".png")
    masked_by = photo_manifest.segmenter_of(entry, mask) if mask else None
    return Photo(
        file=path,
        sha256=sha256,
        width=size[0],
        height=size[1],
        caption=(subject.fill(sidecars.read_caption(caption)) or None)
        if caption.is_file()
        else None,
        mask=mask,
        source=entry.source,
        why=entry.why,
        masked_by=masked_by,
        mask_doubt=entry.mask_doubt if masked_by else None,
        missed_by=entry.missed_by,
        blurred=tuple(entry.blurred),
        caption_by=photo_manifest.caption_author(caption, entry),
        caption_locked=entry.caption_locked,
    )


def write_captions(
    project: Project, captions: Iterable[tuple[Photo, str]], by: str = photo_manifest.PACKSHOT
) -> None:
    """Write side-car captions and record their author: a captioner, or "person".

    Crash-safe: afterwards every caption is either old or new, with the right author recorded.
    """
    written = {photo.file.with_suffix(".txt"): f"{text}\n".encode() for photo, text in captions}
    manifest = photo_manifest.read(project)
    ours = {Path(entry.file).stem: entry for entry in manifest.photos}
    entries = {path: ours[path.stem] for path in written}
    person = by == photo_manifest.PERSON
    for path, entry in entries.items():
        promised = (None, None) if person else (hashing.sha256_of(written[path]), by)
        photo_manifest.begin_caption_write(path, entry, *promised)
    photo_manifest.write(project, manifest)
    for path, entry in entries.items():
        files.write_bytes(path, written[path])
        photo_manifest.commit_caption_write(entry)
    photo_manifest.write(project, manifest)


def set_caption_locks(project: Project, photos: Iterable[Photo], locked: bool) -> None:
    """Lock captions, so that no command changes them, or unlock them."""
    manifest = photo_manifest.read(project)
    names = {photo.file.name for photo in photos}
    for entry in manifest.photos:
        if entry.file in names:
            entry.caption_locked = locked
    photo_manifest.write(project, manifest)


def write_mask(
    project: Project, photo: Photo, mask: Image.Image, by: str, doubt: float | None = None
) -> None:
    """Write a photo's mask and record that it was generated.

    It is recorded first, because an unrecorded mask counts as drawn by a person.

    Args:
        by: the name of the segmenter.
        doubt: as `Photo.mask_doubt`.
    """
    path = project.masks_folder / f"{photo.file.stem}.png"
    data = serialization.image_bytes(path.suffix, mask)
    manifest = photo_manifest.read(project)
    for entry in manifest.photos:
        if entry.file == photo.file.name:
            entry.former_mask = hashing.sha256(path) if path.is_file() else None
            entry.written_mask, entry.masked_by = hashing.sha256_of(data), by
            entry.mask_doubt = None if doubt is None else round(min(1.0, max(0.0, doubt)), 3)
    photo_manifest.write(project, manifest)
    files.write_bytes(path, data)


def note_missed(project: Project, photo: Photo, by: str) -> None:
    """Record that a segmenter found no product in a photo."""
    manifest = photo_manifest.read(project)
    for entry in manifest.photos:
        if entry.file == photo.file.name:
            entry.missed_by = by
    photo_manifest.write(project, manifest)


def too_small(photos: Sequence[Photo], pixels: int) -> list[Photo]:
    """Photos that are much smaller than training images of `pixels` a side: enlarged, they are soft."""
    return [photo for photo in photos if photo.width * photo.height < (SHARP_ENOUGH * pixels) ** 2]


def _none_left(where: str, refused: dict[str, str]) -> str:
    lines = [f"  {name}: {reason}" for name, reason in refused.items()]
    more = [f"  and {len(lines) - 20} more, listed in refused.json"] if len(lines) > 20 else []
    return "\n".join([f"No photo in {where} can be used:", *lines[:20], *more])


def _larger_first(path: Path) -> tuple[int, str]:
    """Sorts larger images first, so that of two copies the larger is kept."""
    width, height = header_size(path) or (0, 0)
    return -width * height, path.name
