"""Files are written whole or not at all.

Every write goes to a temporary file in the same folder, is flushed to the disk and renamed
(`os.replace`), and the folder is flushed too: a reader sees the old file or the new one, never part
of one. `_write` is the single function in which tests inject faults.

Only this module writes files, with `copying` (copies and links), `in_place` (logs and locks) and
`overwriting` (results) beside it; what drives and machines cannot do is handled in these, `locks` and
`caches` only. Windows flushes no folders. Network drives and sticks may neither flush them nor set
rights.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from packshot.errors import DiskFullError, PackshotError, UnsafePathError, WriteError
from packshot.utils import drives, pathnames, serialization

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably, creating the folder.

    Raises:
        DiskFullError, WriteError: there is no room, or it cannot be written; an earlier file at `path`
            is intact.
    """
    write_parts(path, [data])


def write_parts(path: Path, parts: Sequence[serialization.Bytes]) -> None:
    """As `write_bytes`, of what lies in several places, without copying it together."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, lambda file: file.writelines(parts))
    except OSError as error:
        raise explain(error, path, sum(map(len, parts))) from error


def write_with(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """As `write_bytes`, by a function that writes into the open file: for what memory does not hold."""
    written = 0

    def parts(file: IO[bytes]) -> None:
        nonlocal written
        try:
            write(file)
        finally:
            written = file.tell()

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, parts)
    except OSError as error:
        raise explain(error, path, written) from error


def explain(error: OSError, path: Path, size: int) -> PackshotError:
    """Why `path`, of `size` bytes, could not be written: a `DiskFullError` or `WriteError` to raise."""
    if error.errno in drives.NO_ROOM:
        return DiskFullError(
            f"No room on the disk for {path} ({size:,} bytes needed). "
            "What stood there is intact; free some space and run the same command again."
        )
    why, remedy = drives.reason(error)
    return WriteError(
        f"{path} cannot be written: {why}. What stood there is intact. "
        f"{remedy}, and run the same command again."
    )


def write_stream(chunks: Iterable[bytes], path: Path) -> None:
    """Write a temporary file chunk by chunk, creating the folder; neither atomic nor durable.

    Raises:
        DiskFullError: there is no room.
        OSError: anything else, such as a name that is too long or exists already.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        if error.errno in drives.NO_ROOM:
            raise DiskFullError(
                f"No room on the disk to unpack {path.name} in {path.parent}; "
                "free some space and run the same command again."
            ) from error
        raise


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    if path.is_symlink():
        raise UnsafePathError(
            f"{path} is a link, to {pathnames.target_of(path)}, and stays one: nothing is written "
            "through it, and nothing in its place. Delete the link, or put what it leads to in its place."
        )
    temporary = temporary_name(path)
    # The user's umask decides who may read it; a file that stands there keeps its rights.
    binary = getattr(os, "O_BINARY", 0)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | drives.NO_LINK | binary
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            flush(file.fileno())
        with contextlib.suppress(OSError):
            os.chmod(temporary, stat.S_IMODE(os.lstat(path).st_mode) & 0o777)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(path.parent)


def temporary_name(path: Path) -> Path:
    """A name beside `path` that nobody can guess, and no longer than a name may be."""
    ending = f".{secrets.token_hex(4)}.part"
    name = pathnames.shortened(path.name, pathnames.MAX_NAME_BYTES - 1 - len(ending))
    return path.with_name(f".{name}{ending}")


def is_temporary(path: Path) -> bool:
    """Whether a file is one that a killed process left, by its name."""
    return path.name.startswith(".") and path.suffix == ".part"


def remove_left(folder: Path, older_than_seconds: float = 3600.0) -> None:
    """Remove what killed processes left under `folder`; what is young may be in the making."""
    now = time.time()
    for at, _, names in os.walk(folder):
        for name in filter(_TEMPORARY.fullmatch, names):
            with contextlib.suppress(OSError):
                left = Path(at, name)
                if now - left.lstat().st_mtime > older_than_seconds:
                    left.unlink()


def flush(descriptor: int) -> None:
    """Have the drive keep what was written, if it knows of such a thing."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in drives.CANNOT:
            raise


def _flush_folder(folder: Path) -> None:
    """Have the drive keep a folder's names: the file is in its place by now, whatever comes of it."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders; NTFS keeps a journal of names
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; half a surrogate pair, which JSON may hold, becomes "?"."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON (indented, keys as given) atomically; see `serialization.as_json`."""
    write_text(path, serialization.as_json(value, indent=2) + "\n")


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write one JSON value per line atomically, after `values` is exhausted, as `write_json` does."""
    write_text(path, "".join(serialization.as_json(value) + "\n" for value in values))


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as a safetensors file atomically; the same content gives the same bytes."""
    write_parts(path, serialization.safetensors_parts(tensors, metadata))


def write_image(path: Path, image: Image.Image, **options: Any) -> None:
    """Write an image atomically; the format follows the file's ending, `options` go to Pillow."""
    write_bytes(path, serialization.image_bytes(path.suffix, image, **options))
