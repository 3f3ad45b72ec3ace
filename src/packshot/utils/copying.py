"""Copies of files, hard links and symbolic links, by what the drive allows."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from packshot.utils import files

_FICLONE = 0x40049409


def hard_link_or_copy(source: Path, path: Path) -> None:
    """Make `path` a hard link to the file `source`, or a copy where hard links are impossible.

    A hard link takes no room, and stays valid when `source` is moved or deleted.
    """
    source = source.resolve()
    if path.exists() and path.samefile(source):
        return
    temporary = files.temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, temporary)
        os.replace(temporary, path)
    except OSError:
        files.write_bytes(path, source.read_bytes())
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
    temporary = files.temporary_name(path)
    with source.open("rb") as given:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as made:
                if not _share_blocks(given.fileno(), made.fileno()):
                    shutil.copyfileobj(given, made, 2**20)
            os.replace(temporary, path)
        except OSError as error:
            raise files.explain(error, path, os.fstat(given.fileno()).st_size) from error
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
