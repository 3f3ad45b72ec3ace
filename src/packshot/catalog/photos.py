"""A product's photos at hand: where they are, or fetched once from a URL."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from packshot.class_images.online.public_http import PublicTransport
from packshot.errors import CatalogError, ClassImagesError, reason_of
from packshot.utils import files

MOST_BYTES = 4 * 2**30
MOST_FILES = 10_000
_CHUNK = 2**20


def at_hand(photos: str, folder: Path) -> Path:
    """The photos of a product as a local path; those of a URL are fetched into `folder`, once.

    Web addresses are fetched from public hosts alone, other ones by fsspec.

    Raises:
        CatalogError: they cannot be fetched, or are more than `MOST_FILES` or `MOST_BYTES`.
        DiskFullError, WriteError: there is no room for them.
    """
    if "://" not in photos:
        return Path(photos)
    marker = folder / "fetched.json"  # written last
    fetched = files.read_json(marker) if marker.is_file() else None
    if not (isinstance(fetched, dict) and fetched.get("url") == photos):
        if folder.exists():  # of a fetch that broke off, or of another URL
            files.remove_tree(folder, folder.parent)
        is_web = urlsplit(photos).scheme.lower() in ("http", "https")
        try:
            name = _of_web(photos, folder) if is_web else _of_store(photos, folder)
        except (OSError, httpx.HTTPError, ClassImagesError) as error:
            raise CatalogError(f"{photos} cannot be fetched: {reason_of(error)}.") from error
        fetched = {"url": photos, "name": name}
        files.write_json(marker, fetched)
    return files.safe_join(folder, str(fetched["name"]))


def _of_web(url: str, folder: Path) -> str:
    name = f"photos{Path(urlsplit(url).path).suffix.lower() or '.zip'}"
    with (
        httpx.Client(transport=PublicTransport(1), follow_redirects=True) as client,
        client.stream("GET", url) as answer,
    ):
        answer.raise_for_status()
        files.write_stream(_bounded(url, answer.iter_bytes(_CHUNK)), files.safe_join(folder, name))
    return name


def _of_store(url: str, folder: Path) -> str:
    from fsspec.core import url_to_fs

    store, root = url_to_fs(url)
    if not store.isdir(root):
        name = f"photos{Path(root).suffix.lower()}"
        _copy(store, root, folder / name, url)
        return name
    names = sorted(store.find(root))
    if len(names) > MOST_FILES:
        raise CatalogError(f"{url} has {len(names):,} files; at most {MOST_FILES:,} are taken.")
    for path in names:
        inside = posixpath.relpath(path, root)
        _copy(store, path, files.safe_join(folder / "photos", inside), url)
    return "photos"


def _copy(store: object, path: str, target: Path, url: str) -> None:
    with store.open(path, "rb") as file:  # type: ignore[attr-defined]
        files.write_stream(_bounded(url, iter(lambda: file.read(_CHUNK), b"")), target)


def _bounded(url: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    taken = 0
    for chunk in chunks:
        taken += len(chunk)
        if taken > MOST_BYTES:
            raise CatalogError(f"{url} is larger than {MOST_BYTES // 2**30} GiB.")
        yield chunk
