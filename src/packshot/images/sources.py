"""Sources of photos: files, folders, ZIPs and videos."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from packshot.errors import ImageRejectedError, NoUsablePhotosError
from packshot.images import archives, sidecars
from packshot.images import video as videos
from packshot.images.loading import unreadable
from packshot.utils import caches, pathnames
from packshot.utils.progress import Progress, silent

PICTURE_ENDINGS = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".heic", ".heif", ".hif",
        ".avif", ".gif", ".bmp", ".tif", ".tiff", ".jxl", ".jp2", ".psd", ".svg",
        ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef",
    )
)  # fmt: skip
"""Endings of image files. Files that cannot be read are refused, not skipped silently."""
_LIVE = frozenset((".heic", ".heif", ".jpg", ".jpeg"))
_IN_ARCHIVES = PICTURE_ENDINGS | videos.ENDINGS
_IN_FOLDERS = _IN_ARCHIVES | {".zip"}


def picture_files(folder: Path) -> Iterator[Path]:
    """The image files in a folder, by their endings; hidden ones and masks of others are skipped."""
    return (path for path in _meant(folder, PICTURE_ENDINGS) if pathnames.is_file(path))


def _meant(folder: Path, endings: frozenset[str]) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise NoUsablePhotosError(f"{folder} {unreadable(error)}.") from error
    meant = [path for path in inside if path.suffix.lower() in endings and path.name[0] != "."]
    yield from _without_masks(meant)


def _without_masks(paths: Sequence[Path], *, within_masks: bool = True) -> Iterator[Path]:
    """The files but those that are OneTrainer's masks of others among them.

    Args:
        within_masks: whether files in a folder `masks` beside photos are meant, too.
    """
    stems = {path.with_suffix("") for path in paths}
    folders = {path.parent for path in paths}
    for path in paths:
        if not within_masks and path.parent.name == "masks" and path.parent.parent in folders:
            continue
        stem, kind = sidecars.labelled(path)
        if kind != sidecars.MASK_LABEL or path.with_name(stem) not in stems:
            yield path


def find(sources: Sequence[Path]) -> list[Path]:
    """The files of the sources; in folders all images, videos and ZIPs, by their endings.

    Raises:
        NoUsablePhotosError: a source does not exist, or there are no such files.
    """
    paths: dict[Path, None] = {}
    for source in sources:
        if not pathnames.exists(source):
            raise NoUsablePhotosError(
                f"There is no {source}. Name a folder with photos of your product, or one photo."
            )
        paths |= dict.fromkeys(_meant(source, _IN_FOLDERS) if source.is_dir() else [source])
    if not paths:
        raise NoUsablePhotosError(_no_photos(sources))
    return list(paths)


def _no_photos(sources: Sequence[Path]) -> str:
    named = ", ".join(map(str, sources)) or "What you named"
    folders = (inner for source in sources for inner in sorted(source.iterdir()) if inner.is_dir())
    inside = next((folder for folder in folders if any(picture_files(folder))), None)
    hint = f" Its folder {inside} does: name that one." if inside else ""
    return f"{named} holds no photos (JPEG, PNG, WebP, HEIC or AVIF), videos or ZIPs.{hint}"


def refuse(refused: dict[str, str], path: Path, reason: str) -> None:
    """Record why a file is refused, under a unique name."""
    name = pathnames.printable_name(path.name)
    longer = (f"{name} ({number})" for number in itertools.count(2))
    names = itertools.chain((name, f"{pathnames.printable_name(path.parent.name)}/{name}"), longer)
    refused[next(free for free in names if free not in refused)] = reason


@contextmanager
def unpacked(
    found: Sequence[Path], frames: int = videos.FRAMES, progress: Progress = silent
) -> Iterator[tuple[list[Path], dict[str, str]]]:
    """Replace ZIPs and videos in `found` by their images while the block runs.

    Args:
        frames: the most frames taken from a video.

    Yields:
        The image files, and the refused files with the reasons.
    """
    plain = [path for path in found if path.suffix.lower() in PICTURE_ENDINGS]
    packed = [path for path in found if path.suffix.lower() not in PICTURE_ENDINGS]
    if not packed:
        yield plain, {}
        return
    with caches.temporary_folder() as folder:
        opener = _Opener(folder, frames)
        for done, path in enumerate(packed, start=1):
            opener.open(path, beside=found)
            progress("unpacking", done, len(packed))
        yield plain + opener.pictures, opener.refused


class _Opener:
    """Unpacks ZIPs and videos, each into its own folder."""

    def __init__(self, folder: Path, frames: int) -> None:
        self.folder, self.frames = folder, frames
        self.pictures: list[Path] = []
        self.refused: dict[str, str] = {}
        self._left = archives.MAX_TOTAL_BYTES
        """Bytes that may still be unpacked, of all archives together."""

    def open(self, path: Path, beside: Sequence[Path]) -> None:
        """Unpack a ZIP or video; any other file is taken as an image."""
        ending = path.suffix.lower()
        try:
            if ending == ".zip":
                self._open_archive(path)
            elif ending in videos.ENDINGS:
                _refuse_live(path, beside)
                self.pictures += videos.pick_frames(path, self._place(path), self.frames)
            else:
                self.pictures.append(path)
        except ImageRejectedError as error:
            refuse(self.refused, path, error.reason)

    def _place(self, path: Path) -> Path:
        """A folder with a unique name for the content of a ZIP or video."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / path.name

    def _open_archive(self, path: Path) -> None:
        wanted = _IN_ARCHIVES | frozenset(sidecars.CAPTION_ENDINGS)
        members, refused = archives.unpack(path, self._place(path), wanted, self._left)
        self._left -= sum(member.stat().st_size for member in members)
        self.refused |= {pathnames.printable_name(name): reason for name, reason in refused.items()}
        in_archives = [member for member in members if member.suffix.lower() in _IN_ARCHIVES]
        meant = list(_without_masks(in_archives, within_masks=False))
        if not (meant or refused):
            raise ImageRejectedError(path.name, "is a ZIP archive without photos or videos in it")
        for member in meant:
            self.open(member, beside=meant)


def _refuse_live(video: Path, beside: Sequence[Path]) -> None:
    """Refuse the video of an iPhone's Live Photo, which has the photo's name and content."""
    for path in beside:
        if path.with_suffix("") == video.with_suffix("") and path.suffix.lower() in _LIVE:
            raise ImageRejectedError(
                video.name,
                f"is the moving part of {pathnames.printable_name(path.name)}, which is enough",
            )
