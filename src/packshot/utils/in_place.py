"""What changes where it stands (a log, a lock), which is opened through no link.

A folder from somebody else may hold links that lead to the user's own files.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TextIO

from packshot.errors import UnsafePathError
from packshot.utils import drives, files, pathnames


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
                files.flush(file.fileno())
    except OSError as error:
        raise files.explain(error, path, len(line) + 1) from error


def open_in_place(path: Path) -> TextIO:
    """Open a file that changes where it stands, to read and to append, creating it.

    Raises:
        UnsafePathError: it is a link, has other names besides, or is no file: what is written would
            end somewhere else, too.
        DiskFullError, WriteError: it cannot be opened.
    """
    told = f"{path} is written where it stands, so it must be a file of its own, and it is"
    try:
        if os.name == "nt" and pathnames.is_link(path.lstat()):
            raise UnsafePathError(f"{told} a link. Delete it.")
    except FileNotFoundError:
        pass
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | drives.NO_LINK | drives.NEVER_WAIT
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise UnsafePathError(f"{told} a link or socket. Delete it.") from error
        raise files.explain(error, path, 0) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        kind = "linked from other places" if stat.S_ISREG(status.st_mode) else "a pipe or device"
        raise UnsafePathError(f"{told} {kind}. Put a copy in its place.")
    return os.fdopen(descriptor, "a+", encoding="utf-8")
