"""An object store that a catalogue is published to, by fsspec: s3, gs, az and whatever else it knows.

Stores answer "later" under load, and lose connections; every request is repeated with a growing
pause before it counts as failed. What is written has its content or is not there: stores have no
half-written objects.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from packshot.errors import PackshotError, StoreError, WriteError, reason_of
from packshot.utils import files

TRIES = 6
PAUSE = 0.5
"""Seconds before a request is repeated; before each later time twice as long, more or less."""
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError, TypeError)
"""Answers that another request would not change."""
MOST_BYTES = 64 * 2**30
"""Of one object that is fetched."""
_CHUNK = 2**20
_PROBE = "writable"
T = TypeVar("T")


def is_url(place: str) -> bool:
    """Whether a place is a URL rather than a path or word."""
    return "://" in place


def store_of(place: str) -> Store | None:
    """The store that a place is in; None if it is a folder: a path, or file://PATH.

    Raises:
        StoreError: fsspec has no such store, or not the package for it.
    """
    return Store(place) if is_url(place) and urlsplit(place).scheme != "file" else None


def folder_of(place: str) -> Path:
    """The folder that a place is, by its path or file://PATH."""
    return Path(unquote(urlsplit(place).path) if place.startswith("file://") else place).absolute()


def settled(place: str) -> str:
    """A place as all machines name it: a folder's whole path, or a store's URL that can be written.

    Raises:
        StoreError: it is a URL where nothing can be written.
    """
    store = store_of(place)
    if store is None:
        return str(folder_of(place))
    if urlsplit(place).scheme.lower() in ("http", "https"):
        raise StoreError(f"{place} is a web address; name a folder, or a store (s3, gs, az, ...).")
    store.write(_PROBE, b"")
    store.remove(_PROBE)
    return store.url


class Store:
    """The objects below a URL; names are relative to it."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            StoreError: fsspec has no such store, or not the package for it.
        """
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        try:
            # What another start has written is to be seen.
            self._fs, self._root = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise StoreError(f"{url} needs a package more: {error}") from error
        except Exception as error:  # each store has errors of its own
            raise StoreError(f"{url} cannot be used: {reason_of(error)}") from error

    def read(self, name: str) -> bytes | None:
        """An object's content; None if there is none.

        Raises:
            StoreError: the store does not answer, or not this user.
        """
        try:
            content: bytes = self._ask(name, self._fs.cat_file, self._path(name))
        except FileNotFoundError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write an object, instead of an earlier one.

        Raises:
            StoreError: as `read`.
        """
        self._send(name, self._fs.pipe_file, self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one; whether it is ours. `content` tells ours from others'.

        Raises:
            StoreError: as `read`.
        """
        try:
            self._send(name, self._fs.pipe_file, self._path(name), content, mode="create")
        except FileExistsError:  # perhaps by our own request, whose answer was lost
            return self.read(name) == content
        return True

    def upload(self, source: Path, name: str) -> None:
        """Make a file an object.

        Raises:
            StoreError: as `read`.
        """
        self._send(name, self._fs.put_file, str(source), self._path(name))

    def download(self, name: str, path: Path, most: int = MOST_BYTES) -> None:
        """Make an object a file.

        Raises:
            StoreError: as `read`, or there is no such object, or it has more than `most` bytes.
            DiskFullError, WriteError: it cannot be written.
        """

        def fetch() -> None:
            path.unlink(missing_ok=True)  # of a request that broke off
            with self._fs.open(self._path(name), "rb") as file:
                files.write_stream(
                    bounded(self.url, iter(lambda: file.read(_CHUNK), b""), most), path
                )

        try:
            self._ask(name, fetch)
        except FileNotFoundError as error:
            raise StoreError(f"{self.url}/{name} is gone.") from error

    def stamps(self, folder: str = "") -> dict[str, str]:
        """The objects below a folder, by name, with what changes when their content does.

        Where the URL is that of one object, that one by the name "".

        Raises:
            StoreError: as `read`.
        """
        found = self._ask(folder, self._fs.find, self._path(folder), detail=True)
        return {
            path.removeprefix(self._root).strip("/"): f"{info.get('size')} {_tag(info)}"
            for path, info in sorted(found.items())
            if info.get("type")
            == "file"  # not a folder that came to be between two requests of theirs
        }

    def has_any(self) -> bool:
        """Whether there is an object at the URL or below it.

        Raises:
            StoreError: as `read`.
        """
        return bool(self._ask("", self._fs.exists, self._path("")))

    def remove(self, name: str) -> None:
        """Delete an object, if it is there.

        Raises:
            StoreError: as `read`.
        """
        try:
            self._ask(name, self._fs.rm_file, self._path(name))
        except FileNotFoundError:
            return

    def written_at(self, name: str) -> datetime | None:
        """When an object was written, by the store's clock; None if there is none.

        Raises:
            StoreError: as `read`.
        """
        try:
            when: datetime = self._ask(name, self._fs.modified, self._path(name))
        except FileNotFoundError:
            return None
        return when

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else str(self._root)

    def _send(self, name: str, *request: Any, **options: Any) -> None:
        try:
            self._ask(name, *request, **options)
        except FileNotFoundError as error:
            raise StoreError(f"{self.url}: {error}.") from error

    def _ask(self, name: str, request: Callable[..., T], *given: Any, **options: Any) -> T:
        """See `patiently`; a refusal that is none of `FileNotFoundError`, `FileExistsError` is told."""
        try:
            return patiently(request, *given, **options)
        except (FileNotFoundError, FileExistsError, PackshotError):
            raise
        except Exception as error:
            raise StoreError(f"{self.url}/{name}: {reason_of(error)}") from error


def _tag(info: Mapping[str, Any]) -> str:
    """An object's hash or time, by the names that stores have for it."""
    names = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")
    return next((str(info[name]) for name in names if info.get(name)), "")


def bounded(url: str, chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The chunks as they are.

    Raises:
        StoreError: they have more than `most` bytes.
    """
    taken = 0
    for chunk in chunks:
        taken += len(chunk)
        if taken > most:
            raise StoreError(f"{url} is larger than {most // 2**30} GiB.")
        yield chunk


def patiently(request: Callable[..., T], *given: Any, **options: Any) -> T:
    """What a request to a store answers, repeated with a growing pause as long as it may come to more.

    Raises:
        Exception: what the last one raised; each store has errors of its own.
    """
    for attempt in range(TRIES):
        try:
            return request(*given, **options)
        except (*_FINAL, WriteError):
            raise
        except Exception as error:
            if isinstance(error, PackshotError) or attempt == TRIES - 1:
                raise
            # At different times each, or all would come again together.
            time.sleep(PAUSE * 2**attempt * random.uniform(0.5, 1.0))
    raise AssertionError("unreachable")
