"""Folders of the user's, and of this machine's, for what can be made again.

A user may have no home and no cache.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from packshot.errors import MachineWarning, PackshotError, WriteError
from packshot.utils import drives, files

CACHE_VERSION = 2
"""Part of the keys of what is kept in the cache folder; it rises when what Packshot computes changes."""


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
        if error.errno in drives.NO_ROOM:  # which is told where something is lost by it
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
    probe = files.temporary_name(folder / "probe")
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | drives.NO_LINK, 0o600))
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
        if error.errno in drives.NO_ROOM:
            raise files.explain(error, Path(tempfile.gettempdir()), 0) from error
        raise WriteError(drives.NO_TEMPORARY) from error
    with folder as path:
        yield Path(path)
