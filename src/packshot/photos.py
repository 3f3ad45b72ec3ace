"""Photos of the product: checked, taken into the project, or refused with a reason."""

from __future__ import annotations

import contextlib
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packshot import files, inspection, side_cars
from packshot.errors import PhotosRefused, PictureRefused, ProjectError
from packshot.pictures import MAX_PIXELS, Picture, open_image, read_picture
from packshot.progress import Progress, silent
from packshot.project import Project, describe

MIN_SIDE = 128
"""Pixels. What the smallest base is trained at; less could not fill any picture."""
PICTURE_ENDINGS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".heic", ".heif", ".hif", ".avif",
    ".gif", ".bmp", ".tif", ".tiff", ".jxl", ".jp2", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw",
    ".orf", ".rw2", ".raf", ".pef", ".psd", ".svg",
})  # fmt: skip
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
    why: str
    """Why it was accepted, in words."""


@dataclass(frozen=True)
class Accepted:
    """What became of some files: the photos they are in the project; refused ones and why."""

    photos: list[Photo]
    refused: dict[str, str]


class _Entry(BaseModel):
    """A photo in manifest.json. `carried_*` and `written_caption` are hashes of side-cars."""

    model_config = ConfigDict(extra="forbid")
    source: str
    source_sha256: str
    file: str
    sha256: str
    pixels_sha256: str
    perceptual_hash: str = Field(pattern="^[0-9a-f]{64}$")
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    why: str
    carried_caption: str | None = None
    carried_mask: str | None = None
    written_caption: str | None = None
    """The caption as Packshot last wrote it: if another stands, a person has edited it."""
    written_mask: str | None = None


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    photos: list[_Entry] = []


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
    found = _find(sources)
    with project.held():
        intake = _Intake(project, min_side, min_sharpness)
        for done, path in enumerate(sorted(found, key=_larger_first), start=1):
            intake.take(path)
            progress("photos", done, len(found))
        refused = dict(sorted(intake.refused.items()))
        files.write_json(project.refused_file, refused)
        if not intake.taken:
            raise PhotosRefused(_none_left(sources, refused))
        taken = [photo for photo in photos(project) if photo.file.name in intake.taken]
        return Accepted(taken, refused)


def photos(project: Project) -> list[Photo]:
    """The project's photos as they stand, in the order of their names.

    One that a person has taken out of the folder is no longer among them; of one that a person
    has retouched there, hash and size are those of now.

    Raises:
        ProjectError: the manifest is damaged.
        PictureRefused: a photo that was changed in the project is none any more.
    """
    found = []
    for entry in _read_manifest(project).photos:
        path = files.contained(project.photos_folder, entry.file)
        if path.is_file():
            found.append(_photo(project, path, entry))
    return sorted(found, key=lambda photo: photo.file.name)


def _photo(project: Project, path: Path, entry: _Entry) -> Photo:
    sha256, size = files.sha256(path), (entry.width, entry.height)
    if sha256 != entry.sha256:
        size = open_image(path).size
    beside, mask = path.with_suffix(".txt"), project.masks_folder / f"{path.stem}.png"
    return Photo(
        file=path,
        sha256=sha256,
        width=size[0],
        height=size[1],
        caption=(side_cars.read_caption(beside) or None) if beside.is_file() else None,
        mask=mask if mask.is_file() else None,
        source=entry.source,
        why=entry.why,
    )


def write_captions(project: Project, captions: Iterable[tuple[Photo, str]]) -> None:
    """Write side-car captions, noting that they are Packshot's and no person's."""
    manifest = _read_manifest(project)
    entries = {entry.file: entry for entry in manifest.photos}
    for photo, text in captions:
        path = photo.file.with_suffix(".txt")
        files.write_text(path, text + "\n")
        entries[photo.file.name].written_caption = files.sha256(path)
    _write_manifest(project, manifest)


class _Intake:
    """Takes files in one after the other; the manifest is whole after each."""

    def __init__(self, project: Project, min_side: int, min_sharpness: float) -> None:
        self.project, self.min_side, self.min_sharpness = project, min_side, min_sharpness
        self.manifest = _read_manifest(project)
        self.taken: set[str] = set()
        """Names of the photos, in the project, that this intake's files are."""
        self.refused: dict[str, str] = {}

    def take(self, path: Path) -> None:
        """Take in one file, or note why not."""
        try:
            entry = self._known(files.sha256(path)) or self._new(path)
        except PictureRefused as error:
            self._refuse(path, error.reason)
        except OSError as error:
            self._refuse(path, f"cannot be read ({error.strerror}); check that you may read it")
        else:
            self.taken.add(entry.file)
            self._carry_side_cars(path, entry)
            _write_manifest(self.project, self.manifest)

    def _refuse(self, path: Path, reason: str) -> None:
        self.refused[str(path) if path.name in self.refused else path.name] = reason

    def _known(self, sha256: str) -> _Entry | None:
        """The photo that these bytes are already, unless a second file of them comes in one call."""
        for entry in self.manifest.photos:
            there = (self.project.photos_folder / entry.file).is_file()
            if there and sha256 in (entry.source_sha256, entry.sha256):
                if entry.file in self.taken:
                    raise PictureRefused(entry.file, f"is the same picture as {entry.source}")
                return entry
        return None

    def _new(self, path: Path) -> _Entry:
        picture = read_picture(path, MAX_PIXELS)
        sharpness = self._fit(path, picture)
        pixels, look = (
            inspection.pixels_sha256(picture.image),
            inspection.perceptual_hash(picture.image),
        )
        replaced = self._duplicate(path, picture, pixels, look)
        name = replaced.file if replaced else self._free_name(path, picture)
        target = files.contained(self.project.photos_folder, name)
        files.write_bytes(target, _encoded(picture, target.suffix))
        entry = _Entry(
            source=path.name,
            source_sha256=files.sha256(path),
            file=name,
            sha256=files.sha256(target),
            pixels_sha256=pixels,
            perceptual_hash=look,
            width=picture.image.width,
            height=picture.image.height,
            why=f"{picture.image.width} x {picture.image.height} px, sharp ({sharpness:.0f}), new",
            **(replaced.model_dump(include=set(_SIDE_CARS)) if replaced else {}),
        )
        others = [other for other in self.manifest.photos if other.file != name]
        self.manifest.photos = sorted([*others, entry], key=lambda entry: entry.file)
        return entry

    def _fit(self, path: Path, picture: Picture) -> float:
        """The picture's sharpness; refused if it is too small or too blurred."""
        width, height = picture.image.size
        if min(width, height) < self.min_side:
            raise PictureRefused(
                path.name,
                f"is only {width} x {height} px; its shorter side must have {self.min_side}: "
                "use the original, not a thumbnail",
            )
        sharpness = inspection.sharpness(picture.image)
        if sharpness < self.min_sharpness:
            raise PictureRefused(
                path.name,
                f"is blurred, or shows nothing (sharpness {sharpness:.0f}, at least "
                f"{self.min_sharpness:.0f} is needed); hold still and focus on the product",
            )
        return sharpness

    def _duplicate(self, path: Path, picture: Picture, pixels: str, look: str) -> _Entry | None:
        """The photo whose new version this is: of the same name, alike, and no smaller.

        Raises:
            PictureRefused: it is alike to another.
        """
        size = picture.image.size
        for entry in self.manifest.photos:
            same = pixels == entry.pixels_sha256
            if not (same or inspection.nearly_the_same(look, entry.perceptual_hash)):
                continue
            no_smaller = size[0] * size[1] >= entry.width * entry.height
            gone = not (self.project.photos_folder / entry.file).is_file()
            if entry.file not in self.taken and (
                gone or (entry.source == path.name and no_smaller)
            ):
                return entry
            word = "the same picture" if same else "nearly the same picture"
            raise PictureRefused(path.name, f"is {word} as {entry.source}; one of them is enough")
        return None

    def _free_name(self, path: Path, picture: Picture) -> str:
        """A plain name whose stem is nobody's: side-cars go by the stem."""
        plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-_")[:80] or "photo"
        listed = {Path(entry.file).stem.lower() for entry in self.manifest.photos}
        beside = {p.stem.lower() for p in self.project.photos_folder.glob("*") if p.name != stem}
        number, name = 1, stem
        while name.lower() in listed | beside:
            number, name = number + 1, f"{stem}-{number + 1}"
        return name + (".jpg" if picture.format in ("JPEG", "MPO", "HEIF") else ".png")

    def _carry_side_cars(self, path: Path, entry: _Entry) -> None:
        """Bring caption and mask along where the source's are new and no person has edited ours."""
        photo = self.project.photos_folder / entry.file
        caption, mask = side_cars.caption_file(path), side_cars.mask_file(path)
        target = photo.with_suffix(".txt")
        if caption and caption != target and _ours(target, entry.written_caption):
            sha256 = files.sha256(caption)
            text = side_cars.read_caption(caption)
            if text and sha256 != entry.carried_caption:
                files.write_text(target, text + "\n")
                entry.carried_caption, entry.written_caption = sha256, files.sha256(target)
        target = self.project.masks_folder / f"{photo.stem}.png"
        if mask and mask != target and _ours(target, entry.written_mask):
            sha256 = files.sha256(mask)
            if sha256 != entry.carried_mask or not target.exists():
                self._carry_mask(mask, target, entry)
                entry.carried_mask = sha256

    def _carry_mask(self, mask: Path, target: Path, entry: _Entry) -> None:
        try:
            files.write_image(target, side_cars.read_mask(mask, (entry.width, entry.height)))
            entry.written_mask = files.sha256(target)
        except PictureRefused as error:
            self.refused[f"masks/{mask.name}"] = error.reason


_SIDE_CARS = ("carried_caption", "carried_mask", "written_caption", "written_mask")


def _ours(path: Path, written: str | None) -> bool:
    """Whether a file may be written over: it is not there, or just as we last wrote it."""
    return not path.exists() or files.sha256(path) == written


def _encoded(picture: Picture, suffix: str) -> bytes:
    buffer = io.BytesIO()
    if suffix == ".jpg":
        # No chroma subsampling: red lettering on a product would lose its edges.
        picture.image.save(buffer, "JPEG", quality=95, subsampling=0, exif=picture.exif)
    else:
        picture.image.save(buffer, "PNG", exif=picture.exif)
    return buffer.getvalue()


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


def picture_files(folder: Path) -> Iterator[Path]:
    """Files in a folder that are meant as pictures, by name; hidden ones are passed over."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_ENDINGS and path.name[0] != "." and path.is_file():
            yield path


def _no_photos(sources: Sequence[Path]) -> str:
    named = ", ".join(map(str, sources)) or "What you named"
    inner = [
        path for source in sources for path in sorted(source.iterdir())
        if path.is_dir() and any(picture_files(path))
    ]  # fmt: skip
    hint = f" Its folder {inner[0]} does: name that one." if inner else ""
    return f"{named} holds no photos (JPEG, PNG, WebP or HEIC).{hint}"


def _none_left(sources: Sequence[Path], refused: dict[str, str]) -> str:
    lines = [f"  {name}: {reason}" for name, reason in refused.items()]
    more = [f"  and {len(lines) - 20} more, in refused.json"] if len(lines) > 20 else []
    named = ", ".join(map(str, sources))
    return "\n".join(
        [f"None of the {len(lines)} photos in {named} can be used:", *lines[:20], *more]
    )


def _larger_first(path: Path) -> tuple[int, str]:
    """Of two copies the larger is to stay. Sizes are the headers'; what cannot be read is small."""
    from PIL import Image

    area = 0
    with contextlib.suppress(Exception), Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
        area = image.width * image.height
    return -area, path.name


def _read_manifest(project: Project) -> _Manifest:
    path = project.photos_manifest
    if not path.is_file():
        return _Manifest()
    try:
        return _Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        why = describe(error) if isinstance(error, ValidationError) else str(error)
        raise ProjectError(
            f"{path} is damaged ({why}). Move it away and add the photos again."
        ) from error


def _write_manifest(project: Project, manifest: _Manifest) -> None:
    files.write_json(project.photos_manifest, manifest.model_dump())


__all__ = ["Accepted", "Photo", "add_photos", "open_image", "photos", "write_captions"]
