"""Files on their way from the page into a project: streamed to disk, within limits."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request

from packshot.errors import DiskFullError, PackshotError
from packshot.images import video
from packshot.images.sidecars import CAPTION_ENDINGS
from packshot.images.sources import PICTURE_ENDINGS
from packshot.studio.workspace import Workspace
from packshot.utils import hashing, pathnames

SILENT_SECONDS = 60.0
"""How long a browser may pause within a file."""
TAKEN_ENDINGS = PICTURE_ENDINGS | video.ENDINGS | {".zip"}
BESIDE_ENDINGS = frozenset((*CAPTION_ENDINGS, ".json", ".jsonl"))
"""Of what may lie beside a photo."""
_MOST_NAME, _MOST_ENDING, _MOST_DEPTH = 120, 10, 6


class UploadError(PackshotError):
    """A file that is not taken: too large, one too many, of a name that leads elsewhere."""


@dataclass(frozen=True)
class Limits:
    """What one batch of files may be."""

    file_bytes: int = 4 * 2**30
    batch_bytes: int = 16 * 2**30
    files: int = 5000
    spare_bytes: int = 2**30
    """What stays free on the disk."""


@dataclass
class _Held:
    """The files of a batch and their bytes, those that are on their way included."""

    files: int
    bytes: int


_HELD: dict[Path, _Held] = {}
"""Of each batch that this process receives."""


def _held(folder: Path) -> _Held:
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return _Held(len(sizes), sum(sizes))


@dataclass(frozen=True)
class Batch:
    """A folder of files that were sent together."""

    folder: Path
    limits: Limits

    async def receive(self, request: Request, name: str) -> Path:
        """Write a request's body as a file of this batch; of two of one name the second gets a number.

        Args:
            name: its path in the folder that the user has dropped, percent-encoded.

        Raises:
            UploadError: it is not taken; nothing of it is left.
            DiskFullError: there is no room.
        """
        path = _free(pathnames.safe_join(self.folder, plain_path(unquote(name))))
        held = _HELD.get(self.folder) or _HELD.setdefault(self.folder, _held(self.folder))
        if held.files >= self.limits.files:
            raise UploadError(f"That is more than {self.limits.files} files at once.")
        held.files += 1
        try:
            await self._write(request, path, held)
        except BaseException:
            held.files -= 1
            raise
        return path

    async def _write(self, request: Request, path: Path, held: _Held) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name[:100]}.part")
        written, chunks = 0, request.stream().__aiter__()
        try:
            with part.open("wb") as file:
                while True:
                    async with asyncio.timeout(SILENT_SECONDS):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    self._check_room(path, written, len(chunk), held)
                    written += len(chunk)
                    held.bytes += len(chunk)
                    await asyncio.to_thread(file.write, chunk)
            part.replace(path)
        except BaseException as error:
            held.bytes -= written
            if isinstance(error, TimeoutError | ClientDisconnect):
                raise UploadError(f"{path.name} has not arrived whole; send it again.") from error
            raise
        finally:
            part.unlink(missing_ok=True)

    def _check_room(self, path: Path, written: int, more: int, held: _Held) -> None:
        """Refuse what is too much: for a file, with all others of the batch, or for the disk."""
        most = min(self.limits.file_bytes, self.limits.batch_bytes - held.bytes + written)
        if written + more > most:
            raise UploadError(f"{path.name} is larger than {_shown(most)}.")
        if more > shutil.disk_usage(self.folder).free - self.limits.spare_bytes:
            raise DiskFullError(f"There is no room on this disk for {path.name}.")


def _free(path: Path) -> Path:
    """A path where nothing is: files of several folders, or of a phone, may have one name."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain((path,), numbered) if not one.exists())


def sources_of(batch: Batch) -> list[Path]:
    """What of a batch is given to `packshot photos`: each folder of it, and files of other kinds.

    In folders, only photos, videos and ZIPs are looked at; what else was dropped by itself is named, so
    that it is refused with a reason.
    """
    at_top = sorted(path for path in batch.folder.iterdir() if path.is_file())
    inside = (path for path in batch.folder.rglob("*") if path.is_dir() and path.name != "masks")
    folders = [
        folder
        for folder in (batch.folder, *sorted(inside))
        if any(path.suffix.lower() in TAKEN_ENDINGS for path in folder.iterdir())
    ]
    odd = [path for path in at_top if path.suffix.lower() not in TAKEN_ENDINGS | BESIDE_ENDINGS]
    return [*folders, *odd]


def open_batch(workspace: Workspace, limits: Limits, project: str, id: str) -> Batch:
    """The batch with an id that the page has made up, of letters and digits.

    Raises:
        UploadError: the id has another form.
    """
    if not re.fullmatch(r"[a-z0-9]{8,40}", id):
        raise UploadError("This batch of files has no proper id.")
    folder = workspace.state_folder / "uploads" / f"{project}-{id}"
    folder.mkdir(parents=True, exist_ok=True)
    return Batch(folder, limits)


def clear_abandoned(workspace: Workspace, wanted: Collection[Path]) -> None:
    """Delete batches that no job waits for: their page was closed before all had come."""
    folder = workspace.state_folder / "uploads"
    for batch in folder.iterdir() if folder.is_dir() else ():
        if batch not in wanted:
            shutil.rmtree(batch, ignore_errors=True)


def plain_path(name: str) -> str:
    """A path below the batch's folder, its parts without what file systems or we do not take.

    Raises:
        UploadError: it leads out of the folder, is too deep, or has no name in it.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or not 0 < len(parts) <= _MOST_DEPTH:
        raise UploadError("A file of this name is not taken.")
    return "/".join(_plain(part) for part in parts)


def _plain(part: str) -> str:
    kept = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", part).strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    if not dot or len(suffix) > _MOST_ENDING:  # a name with a full stop in it
        stem, dot, suffix = kept, "", ""
    short = _shortened(stem) + dot + suffix
    if not short or pathnames.is_device_name(short.partition(".")[0].lower()):
        raise UploadError("A file of this name is not taken.")
    return short


def _shortened(stem: str) -> str:
    """A stem that is no longer than is taken, and another one's than any other stem's."""
    if len(os.fsencode(stem)) <= _MOST_NAME:
        return stem
    mark = f"-{hashing.fingerprint(stem)[:8]}"
    return pathnames.shortened(stem, _MOST_NAME - len(mark)) + mark


def _shown(size: int) -> str:
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"
