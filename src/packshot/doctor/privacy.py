"""Text of others (messages, names) without what tells who somebody is: paths, user, machine."""

from __future__ import annotations

import getpass
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PATH = re.compile(
    r"(?<![\w:/\\.~-])(?:[A-Za-z]:(?=[\\/])|~)?(?:[\\/]+[^\\/\s'\"`,;:()<>]+)*[\\/]+(?=[^\\/\s])"
)
"""The folders of an absolute path; addresses (https://…) are none."""
_TELLS_NOTHING = ("packshot", "pocket", "root", "user", "torch", "cuda", "python")
"""Names of users, of containers mostly, that are words of our messages too."""


def plain_name(base: str) -> str:
    """A base's last path component: of a file, a folder or OWNER/NAME."""
    return re.split(r"[\\/]", base.rstrip("\\/"))[-1].lstrip("~.") or "the base"


def without_names(text: str, base: str | None = None) -> str:
    """The text with paths cut to their last component, and without names of user and machine."""
    for name in _spellings(base):
        text = re.sub(
            rf"https?://[^\s'\"]*{re.escape(name)}[^\s'\"),;]*", "its page on the hub", text
        )
        text = text.replace(name, plain_name(name))
    for folder in _known_folders():
        text = re.sub(re.escape(folder) + r"[\\/]?", "", text)
    text = _PATH.sub("", text)
    for name in _known_names():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return text


def _spellings(base: str | None) -> list[str]:
    """A base's name as messages have it, if it is more than its last component."""
    if base is None or not re.search(r"[\\/]", base):
        return []
    return [base, base.split("@")[0]]


def _known_folders() -> list[str]:
    """Folders that may hold spaces, where the end of a path could not be told; the longest first."""
    found = {str(Path.cwd())}
    with suppress(OSError):  # no folder for temporary files
        found.add(tempfile.gettempdir())
    with suppress(RuntimeError):  # nobody's home
        found |= {str(Path.home()), os.path.expanduser("~")}
    whole = found | {os.path.realpath(folder) for folder in found}
    return sorted((f for f in whole if len(f) > 3), key=len, reverse=True)


def _known_names() -> Iterator[str]:
    found = {platform.node(), platform.node().split(".")[0]}
    with suppress(Exception):  # a number without a name, as in containers
        found.add(getpass.getuser())
    with suppress(RuntimeError):
        found.add(Path.home().name)
    for name in sorted(found, key=len, reverse=True):
        if len(name) > 2 and name.lower() not in _TELLS_NOTHING:
            yield name
