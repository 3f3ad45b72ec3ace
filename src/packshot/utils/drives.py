"""What drives and machines refuse or lack, and how that is told."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOTTY)
"""What a drive answers that knows no such thing as is asked of it, rather than fails in it."""
# What Windows lacks of these it does not need: there, links are looked for by name.
NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
"""Flags with which `os.open` follows no link, and no other process gets the file."""
NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)
"""A flag with which `os.open` does not wait for whoever writes into a pipe."""

NO_TEMPORARY = (
    "There is no folder for temporary files that can be written, and libraries need one. Set TMPDIR to "
    "one, and run the same command again."
)

_DENIED = (
    "permission is denied",
    "Allow it for this user, close the program that has it open, or name another place",
)
_GONE = "the drive does not answer", "See that it is connected"
_NAME = "the drive does not take such a name", "Give it a shorter one, of plain letters and digits"
_KIND = "a file stands where a folder must be, or a folder where a file must", "Move it away"
_HELD = "another program has it open", "Close that program"
_OPEN = "too many files are open on this machine", "Close other programs, or raise ulimit -n"
_BY_NUMBER = {
    "EACCES": _DENIED, "EPERM": _DENIED,
    "EROFS": ("its drive or folder is read-only", "Make it writable, or name another place"),
    "ENAMETOOLONG": _NAME, "EILSEQ": _NAME, "EINVAL": _NAME,
    "ENOTDIR": _KIND, "EISDIR": _KIND, "EEXIST": _KIND, "ENOTEMPTY": _KIND,
    "ELOOP": ("its links lead in a circle", "Delete the link"),
    "EBUSY": _HELD, "ETXTBSY": _HELD, "EDEADLK": _HELD,
    "EFBIG": ("the drive takes no file of its size (FAT: 4 GB)", "Name a place on another drive"),
    "EIO": ("the drive failed", "Check the drive"),
    "ESTALE": _GONE, "ENOTCONN": _GONE, "ENODEV": _GONE, "ENXIO": _GONE, "EHOSTDOWN": _GONE,
    "EHOSTUNREACH": _GONE, "ENETDOWN": _GONE, "ENETUNREACH": _GONE, "ETIMEDOUT": _GONE, "EREMOTEIO": _GONE,
    "EMFILE": _OPEN, "ENFILE": _OPEN,
}  # fmt: skip
_TOLD = {getattr(errno, name): told for name, told in _BY_NUMBER.items() if hasattr(errno, name)}


def reason(error: OSError) -> tuple[str, str]:
    """Why something failed, and what to do about it: a clause and the beginning of a sentence."""
    if error.errno in NO_ROOM:
        return "there is no room on the disk", "Free some space"
    why = error.strerror or str(error)
    return _TOLD.get(error.errno or 0, (why, "See that the place is there and in order"))


def in_words(error: OSError) -> str | None:
    """What a person can do about an error of the system; None if it may well be a fault of ours."""
    try:
        os.getcwd()
    except OSError:
        return "The folder that this is run in is gone or may not be read. Go to another one (cd)."
    try:
        tempfile.gettempdir()
    except OSError:
        return NO_TEMPORARY
    known = error.errno in _TOLD or error.errno in NO_ROOM
    if not known or not isinstance(error.filename, str | bytes | Path):
        return None
    why, remedy = reason(error)
    where = os.fsdecode(error.filename)
    return (
        f"{where} cannot be read or written: {why}. What was written before is whole. "
        f"{remedy}, and run the same command again."
    )
