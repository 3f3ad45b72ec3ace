"""The only module that writes files.

Every write goes to a temporary file in the same folder, is flushed to the disk and renamed
(`os.replace`), and the folder is flushed too: a reader sees the old file or the new one, never part
of one. `_write` is the single function in which tests inject faults.

Windows' differences are handled here only: it cannot flush folders, few users may create symbolic
links, and a locked file cannot be read by others.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from packshot.errors import DiskFullError, PackshotError, ProjectError, UnsafePathError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """The user's cache folder for Packshot (`PACKSHOT_CACHE` overrides it)."""
    import platformdirs

    return Path(os.environ.get("PACKSHOT_CACHE") or platformdirs.user_cache_dir("packshot"))


def safe_join(folder: Path, name: str) -> Path:
    """`folder / name`, refused when it leads out of `folder` (`..`, absolute names, links).

    Raises:
        UnsafePathError: the result would lie outside `folder`.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnsafePathError(f"'{name}' leads outside {folder}; use a plain file name.")
    return path


def exists(path: Path) -> bool:
    """Whether a path exists; False for an invalid name, where Path.exists raises."""
    return os.path.exists(path)


def is_file(path: Path) -> bool:
    """Whether a path is a file; False for an invalid name, where Path.is_file raises."""
    return os.path.isfile(path)


def printable_name(name: str) -> str:
    """A file's name with line breaks, escapes and invalid bytes replaced by "?"."""
    return "".join(c if c.isprintable() else "?" for c in name)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably, creating the folder.

    Raises:
        DiskFullError: there is no room; an earlier file at `path` is intact.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    except OSError as error:
        raise _explained(error, path, len(data)) from error


def _explained(error: OSError, path: Path, size: int) -> Exception:
    if error.errno not in _NO_ROOM:
        return error
    return DiskFullError(
        f"No room on the disk for {path} ({size:,} bytes needed). "
        "What stood there is intact; free some space and run the same command again."
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
        if error.errno in _NO_ROOM:
            raise DiskFullError(
                f"No room on the disk to unpack {path.name} in {path.parent}; "
                "free some space and run the same command again."
            ) from error
        raise


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".part", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders; NTFS keeps a journal of names
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON (indented, keys as given) atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write one JSON value per line atomically, after `values` is exhausted."""
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as a safetensors file atomically; the same content gives the same bytes."""
    write_bytes(path, safetensors_bytes(tensors, metadata))


def safetensors_bytes(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of a safetensors file, with sorted header keys; tensors are made contiguous.

    The library writes metadata in an order that differs between processes.
    """
    from safetensors.torch import save

    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(ready, dict(metadata) if metadata else None)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def write_image(path: Path, image: Image.Image, **options: Any) -> None:
    """Write an image atomically; the format follows the file's ending, `options` go to Pillow."""
    write_bytes(path, image_bytes(path.suffix, image, **options))


def image_bytes(suffix: str, image: Image.Image, **options: Any) -> bytes:
    """The bytes of an image file with this ending."""
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG"}.get(suffix[1:].lower(), suffix[1:].upper())
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def hard_link_or_copy(source: Path, path: Path) -> None:
    """Make `path` a hard link to the file `source`, or a copy where hard links are impossible.

    A hard link takes no room, and stays valid when `source` is moved or deleted.
    """
    source = source.resolve()
    if path.exists() and path.samefile(source):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        os.link(source, temporary)
        os.replace(temporary, path)
    except OSError:
        write_bytes(path, source.read_bytes())
    finally:
        temporary.unlink(missing_ok=True)


def point(path: Path, source: Path) -> None:
    """Make `path` a symbolic link to the file `source`, or a hard link or copy if that is not allowed.

    Raises:
        OSError: none of them is possible, such as for a name that is too long.
    """
    try:
        path.symlink_to(source.resolve())
    except (NotImplementedError, OSError):  # Windows asks for a right that few have
        hard_link_or_copy(source, path)


def append_line(path: Path, line: str, *, durable: bool = False) -> None:
    """Append one line to a log (not atomic: readers skip a torn last line).

    Args:
        durable: return only when the line is on the disk.

    Raises:
        DiskFullError: there is no room; the line may be torn.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise _explained(error, path, len(line) + 1) from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All complete JSON lines of a log; a torn last line is skipped, a missing file gives none."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    values = []
    # Not splitlines(), which also splits at characters that JSON may hold unescaped.
    for line in text.split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(line))
    return values


def read_json(path: Path) -> Any:
    """A file's JSON value; None if there is no file, or it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        PackshotError: it is not TOML; the message names file and line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # too long a number or too deep a list, too
        raise PackshotError(f"{path} is not valid TOML: {error}. Mend it or delete it.") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(data: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 (hexadecimal) of a JSON-able value, keys sorted."""
    return sha256_of(json.dumps(value, sort_keys=True, default=str).encode())


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` while the block runs; the system frees it if we are killed.

    Raises:
        ProjectError: another process holds it; the message names its process id where it can be read.
    """
    import portalocker

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked:
            raise ProjectError(
                f"{path.parent} is in use by another Packshot (process {_holder(file)}). "
                "Wait until it is done, or stop it, then run this again."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _holder(file: TextIO) -> str:
    """The process id that the holder of a lock left in its file."""
    try:
        file.seek(0)
        return file.read().strip() or "unknown"
    except OSError:  # on Windows what is locked cannot be read
        return "unknown"
