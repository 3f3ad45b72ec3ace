"""What a product is made from, at hand: paths as they are, what lies at a URL fetched once."""

from __future__ import annotations

import posixpath
import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from packshot.catalog import web
from packshot.catalog.store import Store, is_url
from packshot.catalog.table import Product
from packshot.errors import CatalogError, reason_of
from packshot.settings import Choices
from packshot.utils import files, hashing, locks, pathnames, reading
from packshot.weights.installed_bases import installed_base
from packshot.workflow.receipt import versions

MOST_FILES = 10_000
_PLACES = ("base", "assistant", "plates")
"""Choices that name a file or a folder, if not a word; so do those of `class_images`."""


def at_hand(place: str, folder: Path) -> Path:
    """What is at a path or URL, as a local path; of a URL it is fetched into `folder`, once.

    Web addresses are fetched from public hosts alone, other ones by fsspec. What has changed in a
    store since is fetched again; of a web address nothing tells that.

    Raises:
        CatalogError: it cannot be fetched, or is more than is taken.
        DiskFullError, WriteError: there is no room for it.
    """
    if not is_url(place):
        return Path(place)
    # One fetches what many need.
    with locks.await_lock(folder.with_name(folder.name + ".lock"), pause=1.0):
        stamps = None if web.is_web(place) else Store(place).stamps()
        marker = folder / "fetched.json"  # written last
        fetched = reading.read_json(marker) if marker.is_file() else None
        wanted = {"url": place, "stamps": hashing.fingerprint(stamps)}
        if not (isinstance(fetched, dict) and wanted.items() <= fetched.items()):
            if folder.exists():  # of a fetch that broke off, or of another URL
                pathnames.remove_tree(folder, folder.parent)
            fetch = _of_web if stamps is None else partial(_of_store, stamps=stamps)
            fetched = wanted | {"name": fetch(place, folder)}
            files.write_json(marker, fetched)
    return pathnames.safe_join(folder, str(fetched["name"]))


def choices_at_hand(choices: Choices, folder: Path) -> Choices:
    """Choices with local paths in the place of URLs; each is fetched once into a folder of its own.

    Raises:
        CatalogError, DiskFullError, WriteError: as `at_hand`.
    """

    def local(place: str) -> str:
        if not is_url(place):
            return place
        return str(at_hand(place, folder / hashing.fingerprint(place)[:16]))

    given = choices.model_dump(exclude_unset=True)
    given |= {key: local(given[key]) for key in _PLACES if key in given}
    if "class_images" in given:
        given["class_images"] = tuple(map(local, given["class_images"]))
    return Choices(**given)


def fingerprint_of(product: Product) -> str:
    """A hash of all that a product's results depend on: content and names, not where it lies.

    Raises:
        CatalogError: a store does not answer.
        OSError: a file cannot be read.
    """
    choices = product.choices.model_dump(exclude_unset=True)
    choices |= {key: _content(getattr(product.choices, key)) for key in _PLACES}
    choices["class_images"] = [_content(name) for name in product.choices.class_images]
    facts = [versions(), product.subject.model_dump(), choices, _content(product.photos)]
    return hashing.fingerprint(facts)


def _content(place: str) -> Any:
    """What tells other content at a place: hashes, or the store's stamps; a word or web address itself."""
    if is_url(place):
        return place if web.is_web(place) else [posixpath.basename(place), Store(place).stamps()]
    path = installed_base(place) or Path(place)
    if not path.is_absolute():  # a word: tables name files by whole paths
        return place
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        hashes = {file.relative_to(path).as_posix(): hashing.known_sha256(file) for file in found}
        return [path.name, hashes]
    return [path.name, hashing.known_sha256(path)] if path.is_file() else place


def _of_web(url: str, folder: Path) -> str:
    """Fetch what is at a web address; its name."""
    path = PurePosixPath(unquote(urlsplit(url).path))
    # A base's name may tell what it is: one of few steps, say.
    stem = re.sub(r"[^\w.-]+", "-", path.stem, flags=re.ASCII).strip("-. ")[:80]
    is_plain = stem and not pathnames.is_device_name(stem.partition(".")[0])
    ending = re.sub(r"[^\w.]", "", path.suffix.lower(), flags=re.ASCII) or ".zip"
    name = f"{stem if is_plain else 'photos'}{ending}"
    web.fetch(url, pathnames.safe_join(folder, name))
    return name


def _of_store(url: str, folder: Path, stamps: dict[str, str]) -> str:
    """Fetch one object, or all below a folder; its name."""
    store, name = Store(url), posixpath.basename(unquote(url.rstrip("/"))) or "photos"
    if not stamps:
        raise CatalogError(f"There is nothing at {url}.")
    if len(stamps) > MOST_FILES:
        raise CatalogError(f"{url} has {len(stamps):,} files; at most {MOST_FILES:,} are taken.")
    try:
        for inside in stamps:
            path = pathnames.safe_join(folder, name)
            store.download(inside, pathnames.safe_join(path, inside) if inside else path)
    except OSError as error:
        raise CatalogError(f"{url} cannot be fetched: {reason_of(error)}.") from error
    return name
