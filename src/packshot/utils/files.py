"""The only module that writes files.

Every write goes to a temporary file in the same folder, is flushed to the disk and renamed
(`os.replace`), and the folder is flushed too: a reader sees the old file or the new one, never part
of one. `_write` is the single function in which tests inject faults.

What changes where it stands (a log, a lock) is opened by `open_in_place`, which follows no link: a
folder from somebody else may hold links that lead to the user's own files.

What drives and machines cannot do is handled here only. Windows flushes no folders, lets few users
create symbolic links, and a locked file cannot be read by others. Network drives and sticks may set no
rights, flush no folders, and have neither locks nor links. A user may have no home and no cache.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import errno
import functools
import hashlib
import io
import json
import math
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from packshot.errors import (
    DiskFullError,
    InUseError,
    MachineWarning,
    OverwriteError,
    PackshotError,
    UnsafePathError,
    WriteError,
)
from packshot.utils import drives

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

Bytes = bytes | memoryview
_NO_ROOM = drives.NO_ROOM
MAX_NAME_BYTES = 255
"""Of a file's name, on nearly all drives."""
RESULTS = ".packshot.jsonl"
"""A folder's record of the results that Packshot has written there, by their hashes."""
MAX_RECORD_BYTES = 256 * 2**20
"""Of a file of records that is read at once; ours have a hundredth."""
# What Windows lacks of these it does not need: there, links are looked for by name.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)
_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""PyTorch's names of dtypes, and those of safetensors."""
_FICLONE = 0x40049409
_HASHES: dict[tuple[Path, tuple[int, int, int]], str] = {}
_TICK = 2 * 10**9
"""Nanoseconds that file systems' clocks may take from one time to the next (FAT: two seconds)."""
CACHE_VERSION = 2
"""Part of the keys of what is kept in the cache folder; it rises when what Packshot computes changes."""
_JUNCTION = 0xA0000003
"""The tag of Windows' links to folders that need no right (IO_REPARSE_TAG_MOUNT_POINT)."""


def cache_folder() -> Path:
    """The user's cache folder for Packshot (`PACKSHOT_CACHE` overrides it), for this user alone.

    Where there is none, or nothing can be written in it, a temporary one that is deleted when the
    process ends; a `MachineWarning` says so once.
    """
    folder = _usable_cache(os.environ.get("PACKSHOT_CACHE"), os.environ.get("HOME"))
    if not folder.exists():
        with contextlib.suppress(OSError):  # whoever writes there says why it cannot be
            folder.mkdir(mode=0o700, parents=True)
    return folder


@functools.cache
def _usable_cache(chosen: str | None, home: str | None) -> Path:
    import platformdirs

    folder = Path(os.devnull, "packshot")  # where nothing ever is
    try:
        folder = Path(chosen or platformdirs.user_cache_dir("packshot"))
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _try_to_write(folder)
    except RuntimeError:
        why = "This user has no home folder, so there is no cache"
    except OSError as error:
        if error.errno in _NO_ROOM:  # which is told where something is lost by it
            return folder
        why = f"The cache {folder} cannot be written: {drives.reason(error)[0]}"
    else:
        return folder
    kept = "is not kept"
    with contextlib.suppress(PackshotError):  # what can do without a cache does
        folder = stand_in_folder()
        kept = f"lies in {folder} and is deleted at the end"
    warnings.warn(
        f"{why}. What would be kept for later runs {kept}. To keep it, set PACKSHOT_CACHE to a folder "
        "that you may write in.",
        MachineWarning,
        stacklevel=3,
    )
    return folder


def _try_to_write(folder: Path) -> None:
    probe = _temporary(folder / "probe")
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600))
    os.unlink(probe)


@functools.cache
def stand_in_folder() -> Path:
    """A temporary folder for what has no place on this machine, deleted when the process ends.

    Raises:
        WriteError: as `temporary_folder`.
    """
    whole = contextlib.ExitStack()
    atexit.register(whole.close)
    return whole.enter_context(temporary_folder())


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for temporary files, for this user alone, deleted when the block ends.

    Raises:
        WriteError: no folder for temporary files can be written.
        DiskFullError: there is no room.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="packshot-", ignore_cleanup_errors=True)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _explained(error, Path(tempfile.gettempdir()), 0) from error
        raise WriteError(drives.NO_TEMPORARY) from error
    with folder as path:
        yield Path(path)


def expand_user(name: str | Path) -> Path:
    """A path with the home folder for `~`; as it is where there is no such home."""
    return Path(os.path.expanduser(name))


def safe_join(folder: Path, name: str) -> Path:
    """`folder / name`, refused when it leads out of `folder` (`..`, absolute names, links).

    Raises:
        UnsafePathError: the result would lie outside `folder`.
        ValueError: no file can have that name (it holds a null).
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnsafePathError(
            f"'{printable_name(name)}' leads outside {folder}; use a plain file name."
        )
    return path


def refuse_links(path: Path) -> None:
    """Refuse links, pipes and devices at `path` and at every level within it.

    What is written or deleted through a link is somebody else's; what is read from a pipe never ends.

    Raises:
        UnsafePathError: the first that was found.
    """
    try:
        status = path.lstat()
    except OSError:  # nothing there
        return
    if _is_link(status):
        raise UnsafePathError(
            f"{path} is a link, to {_target(path)}. What is written there would end outside the folder "
            "that it is in. Delete the link, or put what it leads to in its place."
        )
    if stat.S_ISDIR(status.st_mode):
        _refuse_links_in(path)
    elif not stat.S_ISREG(status.st_mode):
        raise UnsafePathError(f"{path} is a pipe, socket or device, not a file. Delete it.")


def _refuse_links_in(folder: Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            # Where the listing tells the kind, none of thousands of files is asked for it.
            plain = os.name != "nt" and entry.is_file(follow_symlinks=False)
            if not plain:
                refuse_links(Path(entry.path))


def _is_link(status: os.stat_result) -> bool:
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def _target(link: Path) -> str:
    try:
        return printable_name(os.readlink(link))
    except OSError:
        return "another place"


def remove_tree(folder: Path, below: Path) -> None:
    """Delete a folder that lies in `below`, and all that is in it.

    Raises:
        UnsafePathError: a link leads to it.
    """
    if folder.resolve() != below.resolve() / folder.relative_to(below):
        raise UnsafePathError(f"{folder} is not deleted: a link leads to it. Delete the link.")
    shutil.rmtree(folder)


def exists(path: Path) -> bool:
    """Whether a path exists; False for an invalid name, where Path.exists raises."""
    return os.path.exists(path)


def is_file(path: Path) -> bool:
    """Whether a path is a file; False for an invalid name, where Path.is_file raises."""
    return os.path.isfile(path)


def printable_name(name: str) -> str:
    """A file's name with line breaks, escapes and invalid bytes replaced by "?"."""
    return "".join(c if c.isprintable() else "?" for c in name)


def is_device_name(stem: str) -> bool:
    """Whether Windows and its drives take a name, with any ending, as a device's."""
    return re.fullmatch(r"con|prn|aux|nul|com\d|lpt\d", stem, re.IGNORECASE) is not None


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably, creating the folder.

    Raises:
        DiskFullError, WriteError: there is no room, or it cannot be written; an earlier file at `path`
            is intact.
    """
    write_parts(path, [data])


def write_parts(path: Path, parts: Sequence[Bytes]) -> None:
    """As `write_bytes`, of what lies in several places, without copying it together."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, lambda file: file.writelines(parts))
    except OSError as error:
        raise _explained(error, path, sum(map(len, parts))) from error


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
        raise _explained(error, path, written) from error


def _explained(error: OSError, path: Path, size: int) -> PackshotError:
    if error.errno in _NO_ROOM:
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
        if error.errno in _NO_ROOM:
            raise DiskFullError(
                f"No room on the disk to unpack {path.name} in {path.parent}; "
                "free some space and run the same command again."
            ) from error
        raise


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    if path.is_symlink():
        raise UnsafePathError(
            f"{path} is a link, to {_target(path)}, and stays one: nothing is written through it, and "
            "nothing in its place. Delete the link, or put what it leads to in its place."
        )
    temporary = _temporary(path)
    # The user's umask decides who may read it; a file that stands there keeps its rights.
    binary = getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | binary, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            _flush(file.fileno())
        with contextlib.suppress(OSError):
            os.chmod(temporary, stat.S_IMODE(os.lstat(path).st_mode) & 0o777)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(path.parent)


def _temporary(path: Path) -> Path:
    """A name beside `path` that nobody can guess, and no longer than a name may be."""
    ending = f".{secrets.token_hex(4)}.part"
    return path.with_name(f".{shortened(path.name, MAX_NAME_BYTES - 1 - len(ending))}{ending}")


def is_temporary(path: Path) -> bool:
    """Whether a file is one that a killed process left, by its name."""
    return path.name.startswith(".") and path.suffix == ".part"


def shortened(name: str, most: int) -> str:
    """The beginning of a name that has at most `most` bytes in UTF-8, by whole letters."""
    whole = os.fsencode(name)
    return name if len(whole) <= most else whole[:most].decode("utf-8", "ignore")


def _flush(descriptor: int) -> None:
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


def as_json(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON that every program reads; a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Write JSON (indented, keys as given) atomically; see `as_json`."""
    write_text(path, as_json(value, indent=2) + "\n")


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write one JSON value per line atomically, after `values` is exhausted; see `as_json`."""
    write_text(path, "".join(as_json(value) + "\n" for value in values))


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as a safetensors file atomically; the same content gives the same bytes."""
    write_parts(path, safetensors_parts(tensors, metadata))


def safetensors_parts(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> list[Bytes]:
    """The bytes of a safetensors file: its header, then each tensor where it lies in memory.

    The library copies everything several times, and orders metadata differently in each process.

    Raises:
        KeyError: a tensor's dtype has no name in these files.
    """
    import torch

    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts: list[Bytes] = []
    end = 0
    # The widest numbers first, so that each begins at a multiple of its width.
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor = tensors[name].detach().cpu().contiguous()
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy().data)
        start, end = end, end + len(parts[-1])
        dtype = _DTYPES[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {
            "dtype": dtype,
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    told = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    return [len(told).to_bytes(8, "little") + told, *parts]


def write_image(path: Path, image: Image.Image, **options: Any) -> None:
    """Write an image atomically; the format follows the file's ending, `options` go to Pillow."""
    write_bytes(path, image_bytes(path.suffix, image, **options))


def image_bytes(suffix: str, image: Image.Image, **options: Any) -> bytes:
    """The bytes of an image file with this ending."""
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG"}.get(suffix[1:].lower(), suffix[1:].upper())
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def write_result(path: Path, data: bytes) -> None:
    """As `write_bytes`, into a folder that may hold the user's own files: it replaces none of them.

    Raises:
        OverwriteError: as `refuse_others`.
    """
    refuse_others(path)
    note_result(path, sha256_of(data))
    write_bytes(path, data)


def refuse_others(*paths: Path) -> None:
    """Refuse to replace what Packshot has not written, by the record of each file's folder.

    Raises:
        OverwriteError: there is a file that is not in the record as it stands.
    """
    for path in paths:
        if os.path.lexists(path) and not is_result(path):
            raise OverwriteError(
                f"{path} was not written by Packshot, or was changed since, so it is not replaced. Move "
                "it away, or name another place for the results."
            )


def note_result(path: Path, sha256: str) -> None:
    """Record that the file at `path` with this hash is Packshot's, before or after it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    append_line(path.parent / RESULTS, as_json({"file": path.name, "sha256": sha256}), durable=True)


def is_result(path: Path) -> bool:
    """Whether a file is as Packshot has written it there as a result."""
    if path.is_symlink() or not path.is_file():
        return False
    noted = [row for row in read_json_lines(path.parent / RESULTS) if row.get("file") == path.name]
    return bool(noted) and {"file": path.name, "sha256": sha256(path)} in noted


def is_same(first: Path, second: Path) -> bool:
    """Whether both are files, and one file or of the same content."""
    if not (is_file(first) and is_file(second)):
        return False
    return first.samefile(second) or sha256(first) == sha256(second)


def hard_link_or_copy(source: Path, path: Path) -> None:
    """Make `path` a hard link to the file `source`, or a copy where hard links are impossible.

    A hard link takes no room, and stays valid when `source` is moved or deleted.
    """
    source = source.resolve()
    if path.exists() and path.samefile(source):
        return
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, temporary)
        os.replace(temporary, path)
    except OSError:
        write_bytes(path, source.read_bytes())
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def copy(source: Path, path: Path) -> None:
    """Make `path` a file of its own with the content of `source`, atomically.

    Where the file system can (btrfs, XFS), they share their room until one of
    them is changed. Not flushed to the disk: whoever reads it checks its hash.

    Raises:
        OSError: `source` cannot be opened.
        DiskFullError, WriteError: `path` cannot be written; an earlier file there is intact.
    """
    temporary = _temporary(path)
    with source.open("rb") as given:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as made:
                if not _share_blocks(given.fileno(), made.fileno()):
                    shutil.copyfileobj(given, made, 2**20)
            os.replace(temporary, path)
        except OSError as error:
            raise _explained(error, path, os.fstat(given.fileno()).st_size) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _share_blocks(source: int, target: int) -> bool:
    """Make an empty file a clone of another (Linux' FICLONE); False where that cannot be."""
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
    except (ImportError, OSError):
        return False
    return True


def point(path: Path, source: Path) -> None:
    """Make `path` a symbolic link to the file `source`, or a hard link or copy if that is not allowed.

    Raises:
        DiskFullError, WriteError: none of them is possible, such as for a name that is too long.
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
        UnsafePathError, WriteError: as `open_in_place`.
    """
    try:
        with open_in_place(path) as file:
            file.write(line + "\n")
            if durable:
                file.flush()
                _flush(file.fileno())
    except OSError as error:
        raise _explained(error, path, len(line) + 1) from error


def open_in_place(path: Path) -> TextIO:
    """Open a file that changes where it stands, to read and to append, creating it.

    Raises:
        UnsafePathError: it is a link, has other names besides, or is no file: what is written would
            end somewhere else, too.
        DiskFullError, WriteError: it cannot be opened.
    """
    told = f"{path} is written where it stands, so it must be a file of its own, and it is"
    try:
        if os.name == "nt" and _is_link(path.lstat()):
            raise UnsafePathError(f"{told} a link. Delete it.")
    except FileNotFoundError:
        pass
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_LINK | _NEVER_WAIT
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise UnsafePathError(f"{told} a link or socket. Delete it.") from error
        raise _explained(error, path, 0) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        kind = "linked from other places" if stat.S_ISREG(status.st_mode) else "a pipe or device"
        raise UnsafePathError(f"{told} {kind}. Put a copy in its place.")
    return os.fdopen(descriptor, "a+", encoding="utf-8")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All complete JSON lines of a log; a torn last line is skipped, a missing file gives none."""
    text = _record(path).decode("utf-8", errors="replace") if path.exists() else ""
    values = []
    # Not splitlines(), which also splits at characters that JSON may hold unescaped.
    for line in text.split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(line))
    return values


def read_json(path: Path) -> Any:
    """A file's JSON value; None if there is no file, or it is not JSON."""
    try:
        return json.loads(_record(path))
    except (OSError, ValueError, RecursionError):
        return None


def read_end(path: Path, most: int) -> str:
    """The last `most` bytes of a log, as text; empty where there is no such file."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return ""
            file.seek(max(0, status.st_size - most))
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def _record(path: Path) -> bytes:
    """The bytes of a file of records.

    Raises:
        PackshotError: it is no file, or has more than `MAX_RECORD_BYTES`.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise PackshotError(f"{path} is a pipe or device, not a file. Delete it.")
        if status.st_size > MAX_RECORD_BYTES:
            raise PackshotError(
                f"{path} has {status.st_size / 1e6:,.0f} MB, more than any that Packshot writes. Delete it."
            )
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | _NEVER_WAIT)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        PackshotError: it is not TOML; the message names file and line.
    """
    try:
        data = _record(path)
        # Windows' editors write a mark, and PowerShell UTF-16.
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return tomllib.loads(data.decode("utf-16" if is_utf16 else "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise PackshotError(
            f"{path} is not valid TOML, which is UTF-8: {error}. Save it again as UTF-8, or delete it."
        ) from error
    except (ValueError, RecursionError) as error:  # too long a number or too deep a list, too
        raise PackshotError(
            f"{path} is not valid TOML: {error}. Mend it or delete it.{_hint(str(error))}"
        ) from error


def _hint(fault: str) -> str:
    """What is wrong with a path of Windows's in a TOML string, if that may be the fault."""
    is_escape = any(word in fault for word in ("hex value", "escape", "Escaped"))
    return " Write a path that has \\ in it between ' and ', not \"." if is_escape else ""


def stamp(path: str | Path) -> tuple[int, int, int]:
    """Size and times of a file (of a link itself), which differ whenever its content does.

    A program that copies a file may set its time of modification, but not that of its change.
    """
    status = os.stat(path, follow_symlinks=False)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """As `sha256`; in one process, a file is read again only if its stamp has changed."""
    before = stamp(path)
    if (known := _HASHES.get((path, before))) is None:
        known = sha256(path)
        if time.time_ns() - max(before[1:]) > _TICK:  # else it may change under one stamp
            _HASHES[path, before] = known
    return known


def sha256_of(*parts: Bytes) -> str:
    """SHA-256 of bytes, one part after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 (hexadecimal) of a JSON-able value, keys sorted."""
    return sha256_of(json.dumps(value, sort_keys=True, default=str).encode())


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` while the block runs; the system frees it if we are killed.

    On a drive without locks a file among this machine's temporary ones is locked in its place, which
    keeps out other processes of this machine.

    Raises:
        InUseError: another process holds it; the message names its process id where it can be read.
        UnsafePathError, DiskFullError, WriteError: as `open_in_place`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _explained(error, path, 0) from error
    with contextlib.ExitStack() as held:
        if not _is_locked(held.enter_context(open_in_place(path)), path.parent):
            with contextlib.suppress(OSError, UnsafePathError, WriteError):
                local = _local_lock(path)
                _is_locked(held.enter_context(open_in_place(local)), path.parent)
        yield


def _is_locked(file: TextIO, folder: Path) -> bool:
    """Lock an open file; False if its drive has no locks.

    Raises:
        InUseError: another process holds it.
    """
    import portalocker

    try:
        portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
    except portalocker.AlreadyLocked:
        raise InUseError(
            f"{folder} is in use by another Packshot (process {_holder(file)}). "
            "Wait until it is done, or stop it, then run this again."
        ) from None
    except portalocker.LockException:
        return False
    with contextlib.suppress(
        OSError
    ):  # on a full disk the holder is unknown, and holds all the same
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), str(os.getpid()).encode())
    return True


def _local_lock(path: Path) -> Path:
    """A file of this machine's, of this user's, to be locked in the place of `path`."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    name = f"packshot-{user}-{fingerprint(str(path.resolve()))[:16]}.lock"
    return Path(tempfile.gettempdir()) / name


def _holder(file: TextIO) -> str:
    """The process id that the holder of a lock left in its file."""
    try:
        file.seek(0)
        return file.read().strip() or "unknown"
    except OSError:  # on Windows what is locked cannot be read
        return "unknown"
