"""A product's project in a store: its files, and last a marker with their hashes.

What has no marker is not there. So a kill at any moment leaves either the former state without its
marker, to be made anew, or the new one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from packshot.catalog.store import Store
from packshot.utils import files, hashing, pathnames, serialization

_MARKER = "published.json"


class Published(NamedTuple):
    """What a marker says: of which inputs, what came of them, and the files with their SHA-256."""

    inputs: str
    facts: dict[str, Any]
    files: dict[str, str]


def read_marker(store: Store, folder: str) -> Published | None:
    """The marker of what was published in a folder; None if there is none, or it is no marker.

    Raises:
        StoreError: the store does not answer.
    """
    try:
        said = json.loads(store.read(f"{folder}/{_MARKER}") or b"")
        listed = {str(name): str(sha256) for name, sha256 in said["files"].items()}
        return Published(str(said["inputs"]), dict(said["facts"]), listed)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def publish(store: Store, folder: str, root: Path, inputs: str, facts: dict[str, Any]) -> None:
    """Make the files below `root` what is published in a folder; those that stand are not sent again.

    Raises:
        StoreError: the store does not answer; then nothing is published there.
        OSError: a file cannot be read.
    """
    if not root.is_dir():  # nothing was begun
        return
    before = read_marker(store, folder)
    store.remove(f"{folder}/{_MARKER}")
    stand = before.files if before else _left_in(store, folder)
    found = {
        path.relative_to(root).as_posix(): hashing.known_sha256(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and not _is_machines_own(path)
    }
    for name, sha256 in found.items():
        if stand.get(name) != sha256:
            store.upload(root / name, f"{folder}/{name}")
    for name in set(stand) - set(found):
        store.remove(f"{folder}/{name}")
    said = Published(inputs, facts, found)._asdict()
    store.write(f"{folder}/{_MARKER}", serialization.as_json(said, indent=2).encode())


def _left_in(store: Store, folder: str) -> dict[str, str]:
    """The files that a publishing that was broken off has left; nothing tells what is in them."""
    return {name.removeprefix(f"{folder}/"): "" for name in store.stamps(folder)}


def _is_machines_own(path: Path) -> bool:
    """Whether a file means something on its machine alone."""
    return path.name.endswith(".lock") or files.is_temporary(path)


def fetch(store: Store, folder: str, root: Path) -> bool:
    """Make `root`, which is not there, what was published in a folder; False if nothing whole was.

    Raises:
        StoreError: the store does not answer.
        UnsafePathError: the marker names a file outside its folder.
        DiskFullError: there is no room.
    """
    published = read_marker(store, folder)
    if published is None:
        return False
    part = root.with_name(f"{root.name}.part")
    if part.exists():
        pathnames.remove_tree(part, root.parent)
    part.mkdir(parents=True)
    for name, sha256 in published.files.items():
        path = pathnames.safe_join(part, name)
        store.download(f"{folder}/{name}", path)
        if hashing.sha256(path) != sha256:  # somebody else's
            return False
    part.rename(root)
    return True


def withdraw(store: Store, folder: str) -> None:
    """Delete all in a folder, its marker first.

    Raises:
        StoreError: the store does not answer.
    """
    store.remove(f"{folder}/{_MARKER}")
    for name in store.stamps(folder):
        store.remove(name)
