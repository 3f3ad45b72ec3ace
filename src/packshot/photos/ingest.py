"""Adding files as photos, one after the other: checked and written upright, or refused."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.errors import ImageRejectedError, Refusal
from packshot.images import quality, sidecars, sources
from packshot.images.caption_text import Remarks, Syntax
from packshot.images.loading import Picture, encoded, read_picture, refuse_unfit, unreadable
from packshot.images.masks import own_mask, read_mask
from packshot.photos import manifest
from packshot.photos.manifest import PERSON, Entry, caption_is_ours, is_ours
from packshot.project import Project
from packshot.utils import files, hashing, pathnames

if TYPE_CHECKING:
    from PIL import Image


class Ingest:
    """Adds the files of one call. The manifest on disk is complete after each file."""

    def __init__(
        self,
        project: Project,
        min_side: int,
        min_sharpness: float,
        *,
        syntax: Syntax | None = None,
        has_own_masks: bool = True,
        anew: bool = True,
    ) -> None:
        self.project, self.min_side, self.min_sharpness = project, min_side, min_sharpness
        self.syntax = syntax
        """How captions are read; None if they were read before."""
        self.has_own_masks = has_own_masks
        """Whether a cut-out's transparency is its mask."""
        self.anew = anew
        """Whether photos that were taken out of the project, or deleted in it, come back."""
        self.manifest = manifest.read(project)
        self.accepted: set[str] = set()
        """Names that this call's files have in the project."""
        self.refused: dict[str, str] = {}

    def add(self, path: Path) -> None:
        """Add one file, or record why it is refused."""
        try:
            _refuse_label(path)
            sha256 = _sha256(path)
            entry, own = self._known(sha256), None
            if entry is None:
                entry, own = self._new(path, sha256)
        except ImageRejectedError as error:
            sources.refuse(self.refused, path, error.reason)
            return
        except MemoryError:
            reason = Refusal("needs more memory than there is; make it smaller first", "large")
            sources.refuse(self.refused, path, reason)
            return
        self.accepted.add(entry.file)
        self._carry_caption(path, entry)
        self._carry_mask(path, entry, own)
        manifest.write(self.project, self.manifest)

    def _file(self, entry: Entry) -> Path:
        return pathnames.safe_join(self.project.photos_folder, entry.file)

    def _known(self, sha256: str) -> Entry | None:
        """The existing photo made from the same bytes, if any."""
        for entry in self.manifest.photos:
            if sha256 in (entry.source_sha256, entry.sha256) and self._file(entry).is_file():
                if entry.file in self.accepted:
                    raise ImageRejectedError(
                        entry.file, f"is the same file as {entry.source}", "duplicate"
                    )
                return entry
        return None

    def _new(self, path: Path, source_sha256: str) -> tuple[Entry, Image.Image | None]:
        """A new photo, and the mask that its transparency is, if it is a cut-out."""
        picture = read_picture(path)
        image = picture.image
        sharpness = self._check(path, picture)
        pixels, look = quality.pixels_sha256(image), quality.perceptual_hash(image)
        older = self._older_version(path, picture, pixels, look)
        suffix = Path(older.file).suffix if older else picture.suffix
        data = encoded(picture, suffix)
        name = older.file if older else self._free_name(path.stem, suffix, data)
        target = pathnames.safe_join(self.project.photos_folder, name)
        comes_back = not target.is_file()  # then its caption does, too
        files.write_bytes(target, data)
        entry = Entry(
            source=pathnames.printable_name(path.name), source_sha256=source_sha256,
            file=name, sha256=hashing.sha256(target), pixels_sha256=pixels, perceptual_hash=look,
            width=image.width, height=image.height,
            why=f"{image.width} x {image.height} px, sharp ({sharpness:.0f}), no near copy",
            carried_caption=older.carried_caption if older and not comes_back else None,
            written_caption=older.written_caption if older else None,
            caption_by=older.caption_by if older else None,
            caption_locked=older.caption_locked if older else False,
            written_mask=older.written_mask if older else None,
            masked_by=older.masked_by if older else None,
            mask_doubt=older.mask_doubt if older else None,
            former_mask=older.former_mask if older else None,
        )  # fmt: skip
        others = [other for other in self.manifest.photos if other.file != name]
        self.manifest.photos = sorted([*others, entry], key=lambda entry: entry.file)
        return entry, own_mask(picture.alpha) if self.has_own_masks else None

    def _check(self, path: Path, picture: Picture) -> float:
        """The image's sharpness; raises if it is too small or too blurred."""
        width, height = picture.image.size
        if min(width, height) < self.min_side:
            raise ImageRejectedError(
                path.name,
                f"is only {width} x {height} px; its shorter side must have {self.min_side}: "
                "use the original, not a thumbnail",
                "small",
            )
        sharpness = quality.sharpness(picture.image)
        if sharpness < self.min_sharpness:
            raise ImageRejectedError(
                path.name,
                f"is blurred, or shows nothing (sharpness {sharpness:.0f}, at least "
                f"{self.min_sharpness:.0f} is needed); hold still and focus on the product",
                "blurred",
            )
        return sharpness

    def _older_version(self, path: Path, picture: Picture, pixels: str, look: str) -> Entry | None:
        """The photo that this image replaces: of the same name, similar, and no larger.

        Raises:
            ImageRejectedError: it is similar to another photo, to one retouched in the project, or to one
                that was taken out and is not to come back.
        """
        area = picture.image.width * picture.image.height
        for entry in self.manifest.photos:
            same = pixels == entry.pixels_sha256
            if not (same or quality.nearly_the_same(look, entry.perceptual_hash)):
                continue
            newer = (
                entry.source == pathnames.printable_name(path.name)
                and area >= entry.width * entry.height
            )
            untouched = is_ours(self._file(entry), entry.sha256)
            gone = not self._file(entry).is_file()
            if gone and not self.anew and (same or not newer):
                raise ImageRejectedError(
                    path.name,
                    "was taken out of the project; packshot photos adds it again"
                    if same
                    else f"is nearly the same image as {entry.source}, which was taken out of the project; "
                    "packshot photos adds it again",
                )
            if entry.file not in self.accepted and untouched and (newer or gone):
                return entry
            word = "the same image" if same else "nearly the same image"
            raise ImageRejectedError(
                path.name, f"is {word} as {entry.source}; one of them is enough", "duplicate"
            )
        return None

    def _free_name(self, stem: str, suffix: str, data: bytes) -> str:
        """A plain name with a unique stem, because side-cars are found by the stem.

        A file left by a killed call, not yet in the manifest, is overwritten.
        """
        plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-_")[:80] or "photo"
        plain = f"photo-{plain}" if pathnames.is_device_name(plain) else plain
        listed = {Path(entry.file).stem.lower() for entry in self.manifest.photos}
        present = {path.stem.lower(): path for path in self.project.photos_folder.glob("*.*")}
        number, name = 1, plain
        while name.lower() in listed or (
            (other := present.get(name.lower())) is not None
            and not (other.name == name + suffix and other.read_bytes() == data)
        ):
            number += 1
            name = f"{plain}-{number}"
        return name + suffix

    def _carry_caption(self, path: Path, entry: Entry) -> None:
        """Copy the source's caption if it is new and no person has edited the project's."""
        target = self._file(entry).with_suffix(".txt")
        target = sidecars.find_beside(target.parent, target.stem, ".txt") or target
        try:
            caption = sidecars.caption_file(path)
        except ImageRejectedError as error:
            self.refused[pathnames.printable_name(f"{path.stem}.txt")] = error.reason
            return
        if caption is None or caption == target or not caption_is_ours(target, entry):
            return
        try:
            sha256, text = _sha256(caption), self._read_caption(caption)
        except ImageRejectedError as error:
            self.refused[pathnames.printable_name(caption.name)] = error.reason
            return
        if text and sha256 != entry.carried_caption:
            files.write_text(target, text + "\n")
            entry.carried_caption, entry.written_caption = sha256, hashing.sha256(target)
            entry.caption_by = PERSON

    def _read_caption(self, caption: Path) -> str:
        """The text of a side-car; what is left out of it is told among what is refused."""
        remarks, whole = Remarks(), sidecars.read_text(caption)
        read = self.syntax.read if self.syntax else lambda text, *_: sidecars.one_line(text)
        text = read(whole, caption.name, remarks)
        if len(text) > sidecars.MAX_CAPTION:
            remarks.add(f"more than {sidecars.MAX_CAPTION:,} characters: the rest is left out", "")
        if remarks.names:
            told = "; ".join(remarks.names)
            left_out = Refusal(f"is used, but has {told}", "used")
            self.refused[pathnames.printable_name(caption.name)] = left_out
        return text[: sidecars.MAX_CAPTION].rstrip()

    def _carry_mask(self, path: Path, entry: Entry, own: Image.Image | None) -> None:
        """Copy the source's mask, likewise, at the photo's size; without one, its own."""
        try:
            mask = sidecars.mask_file(path)
        except ImageRejectedError as error:
            self.refused[pathnames.printable_name(f"masks/{path.stem}.png")] = error.reason
            return
        stem = Path(entry.file).stem
        target = self.project.masks_folder / f"{stem}.png"
        target = sidecars.find_beside(target.parent, stem, ".png") or target
        if mask == target or not is_ours(target, entry.written_mask):
            return
        try:
            sha256 = _sha256(mask) if mask else entry.source_sha256
            if sha256 == entry.carried_mask:
                return
            drawn = read_mask(mask, (entry.width, entry.height)) if mask else own
            if drawn is not None:
                files.write_image(target, drawn)
                entry.carried_mask, entry.written_mask = sha256, hashing.sha256(target)
                entry.masked_by = entry.former_mask = entry.mask_doubt = None
        except ImageRejectedError as error:
            self.refused[f"masks/{pathnames.printable_name((mask or path).name)}"] = error.reason


def _refuse_label(path: Path) -> None:
    """Refuse what OneTrainer puts beside a photo, named as if it were one."""
    _, kind = sidecars.labelled(path)
    if kind == sidecars.MASK_LABEL:
        raise ImageRejectedError(path.name, "is the mask of a photo that is not there")
    if kind:
        raise ImageRejectedError(
            path.name, "is OneTrainer's image to condition on; Packshot has nothing for it"
        )


def _sha256(path: Path) -> str:
    refuse_unfit(path)
    try:
        return hashing.sha256(path)
    except OSError as error:
        raise ImageRejectedError(path.name, unreadable(error)) from error
