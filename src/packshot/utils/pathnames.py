"""Paths and names: what may be one, where it leads, and how it is shown.

A folder from somebody else may hold links that lead to the user's own files.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

from packshot.errors import UnsafePathError

MAX_NAME_BYTES = 255
"""Of a file's name, on nearly all drives."""
_JUNCTION = 0xA0000003
"""The tag of Windows' links to folders that need no right (IO_REPARSE_TAG_MOUNT_POINT)."""


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
    if is_link(status):
        raise UnsafePathError(
            f"{path} is a link, to {target_of(path)}. What is written there would end outside the folder "
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


def is_link(status: os.stat_result) -> bool:
    """Whether what `lstat` tells of is a link, or Windows' link to a folder."""
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def target_of(link: Path) -> str:
    """Where a link leads, to be shown; "another place" where that cannot be read."""
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


def shortened(name: str, most: int) -> str:
    """The beginning of a name that has at most `most` bytes in UTF-8, by whole letters."""
    whole = os.fsencode(name)
    return name if len(whole) <= most else whole[:most].decode("utf-8", "ignore")
