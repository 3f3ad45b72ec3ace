"""Locks between processes.

Network drives and sticks may have none; on Windows a locked file cannot be read by others.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from packshot.errors import InUseError, UnsafePathError, WriteError
from packshot.utils import files, hashing, in_place


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` while the block runs; the system frees it if we are killed.

    On a drive without locks a file among this machine's temporary ones is locked in its place, which
    keeps out other processes of this machine.

    Raises:
        InUseError: another process holds it; the message names its process id where it can be read.
        UnsafePathError, DiskFullError, WriteError: as `in_place.open_in_place`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.explain(error, path, 0) from error
    with contextlib.ExitStack() as held:
        if not _is_locked(held.enter_context(in_place.open_in_place(path)), path.parent):
            with contextlib.suppress(OSError, UnsafePathError, WriteError):
                local = _local_lock(path)
                _is_locked(held.enter_context(in_place.open_in_place(local)), path.parent)
        yield


@contextlib.contextmanager
def await_lock(
    path: Path, pause: float = 0.05, waits: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """As `lock`, once whoever holds it has let go.

    Args:
        pause: seconds between two tries.
        waits: is called before each pause.

    Raises:
        UnsafePathError, DiskFullError, WriteError: as `lock`.
    """
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(lock(path))
                break
            except InUseError:
                waits()
                time.sleep(pause)
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
    # On a full disk the holder is unknown, and holds all the same.
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), str(os.getpid()).encode())
    return True


def _local_lock(path: Path) -> Path:
    """A file of this machine's, of this user's, to be locked in the place of `path`."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    name = f"packshot-{user}-{hashing.fingerprint(str(path.resolve()))[:16]}.lock"
    return Path(tempfile.gettempdir()) / name


def _holder(file: TextIO) -> str:
    """The process id that the holder of a lock left in its file."""
    try:
        file.seek(0)
        return file.read().strip() or "unknown"
    except OSError:  # on Windows what is locked cannot be read
        return "unknown"
