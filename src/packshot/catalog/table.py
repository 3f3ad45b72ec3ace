"""The table of a catalogue: one product a row, all validated before anything is made."""

from __future__ import annotations

import csv
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, get_origin
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from packshot.catalog import web
from packshot.catalog.store import Store, is_url
from packshot.class_images.online.public_http import is_public
from packshot.errors import CatalogError, PackshotError, reason_of
from packshot.images import sidecars, tables
from packshot.settings import Choices, Subject
from packshot.utils import pathnames
from packshot.utils.validation import validated

MOST_ROWS = 1_000_000
MOST_BYTES = 2**30
OWN = ("id", "name", "class", "trigger", "photos")
"""Columns beside those of `Choices`."""
ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
"""What ids are like: they name folders."""
_ASKED_AT_ONCE = 32
"""URLs."""
_FILES = ("assistant", "plates")
"""Choices that name files; relative ones are beside the table."""
_FILES_OR_WORDS = ("base", "captioner", "segmenter", "embedder", "class_images")
"""Choices that may name files: a word alone is none, whatever lies beside the table."""


class Product(BaseModel):
    """One product of a catalogue: what `packshot run` is told of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(pattern=ID)
    """Names its folder."""
    subject: Subject
    photos: str
    """A folder, ZIP or video; an absolute path, or a URL (http, s3, gs, az, ...)."""
    choices: Choices

    @property
    def kind(self) -> tuple[str, str]:
        """What products that a worker makes one after the other have in common: base, class noun."""
        return self.choices.base, self.subject.class_noun

    @property
    def urls(self) -> list[str]:
        """The URLs among what it is made from."""
        choices = self.choices
        places = (
            self.photos,
            choices.base,
            choices.assistant,
            choices.plates,
            *choices.class_images,
        )
        return [place for place in places if is_url(place)]


class Table(NamedTuple):
    """The products of a table, and the faults of the rows that are none, each with its row's name."""

    products: list[Product]
    faults: list[str]


def read_table(path: Path, defaults: Mapping[str, Any] | None = None) -> Table:
    """Read a catalogue: CSV, JSON lines or Parquet (which needs pyarrow).

    Columns are `id`, `photos`, `class`, `name`, `trigger` and every key of packshot.toml. In CSV,
    several values in one cell are separated by ";". What a row leaves empty is taken from `defaults`,
    which has the same keys.

    Raises:
        CatalogError: there is no such table, it cannot be read, has no products, or an unknown column.
    """
    rows = list(_rows(path))
    if not rows:
        raise CatalogError(f"{path} has no products.")
    _check_columns(path, rows, defaults or {})
    known: dict[str, str | None] = {}
    found: list[tuple[str, Product | PackshotError]] = []
    taken: set[str] = set()
    for number, row in enumerate(rows, start=1):
        given = {key: value for key, value in (defaults or {}).items() if not _is_empty(value)}
        given |= {key: value for key, value in row.items() if not _is_empty(value)}
        name = f"row {number}" + (f" ({given['id']})" if "id" in given else "")
        try:
            product = _product(given, path.parent, known)
            if (folder := product.id.casefold()) in taken:
                raise CatalogError("its id is that of an earlier row; ids name folders.")
            taken.add(folder)
            found.append((name, product))
        except PackshotError as error:
            found.append((name, error))
    return _given(found)


def _given(rows: list[tuple[str, Product | PackshotError]]) -> Table:
    """The rows as a table, once every URL of theirs was asked whether it gives what it names."""
    urls = sorted({url for _, row in rows if isinstance(row, Product) for url in row.urls})
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        faults_of = dict(zip(urls, pool.map(_fault_of, urls), strict=True))
    products, faults = [], []
    for name, row in rows:
        if isinstance(row, PackshotError):
            faults.append(f"{name}: {row}")
        elif fault := next((faults_of[url] for url in row.urls if faults_of[url]), None):
            faults.append(f"{name}: {fault}")
        else:
            products.append(row)
    return Table(products, faults)


def _fault_of(url: str) -> str | None:
    """Why a URL gives nothing; None if it does."""
    try:
        if web.is_web(url):
            web.fetch(url, None)
        elif not Store(url).has_any():
            return f"there is nothing at {url}."
    except PackshotError as error:
        return str(error)
    return None


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not pathnames.is_file(path):
        raise CatalogError(f"There is no table {path}. Name a CSV, JSON lines or Parquet file.")
    if path.stat().st_size > MOST_BYTES:
        raise CatalogError(f"{path} is larger than {MOST_BYTES // 2**20} MiB; split it.")
    readers = {".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise CatalogError(f"{path.name} is no table that can be read: .csv, .jsonl or .parquet.")
    for number, row in enumerate(reader(path)):
        if number == MOST_ROWS:
            raise CatalogError(f"{path} has more than {MOST_ROWS:,} rows; split it.")
        yield row


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for row in tables.read_rows(sidecars.decode(path.read_bytes())):
            yield {key.strip(): (value or "").strip() for key, value in row.items()}
    except (OSError, csv.Error) as error:
        raise CatalogError(f"{path} cannot be read as CSV: {reason_of(error)}.") from error


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise CatalogError(
                    f"{path}, line {number}, is not UTF-8, as JSON is: save it again as UTF-8."
                ) from error
            except (ValueError, RecursionError) as error:
                raise CatalogError(f"{path}, line {number}, is no JSON.") from error
            if not isinstance(row, dict):
                raise CatalogError(f"{path}, line {number}, is no object of columns.")
            yield row


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise CatalogError(
            'Parquet needs pyarrow: pip install "packshot[catalog]" pyarrow'
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise CatalogError(f"{path} cannot be read as Parquet: {reason_of(error)}.") from error


def _check_columns(path: Path, rows: list[dict[str, Any]], defaults: Mapping[str, Any]) -> None:
    columns = {key for row in rows for key in row}
    known = [*OWN, *Choices.model_fields]
    if unknown := sorted(columns - set(known)):
        raise CatalogError(
            f"{path}: there is no column {', '.join(map(repr, unknown))}. Columns are {', '.join(known)}."
        )
    for needed in ("id", "photos"):
        if needed not in columns:
            raise CatalogError(f"{path} has no column {needed!r}.")
    if "class" not in columns and "class" not in defaults:
        raise CatalogError(
            f"{path} has no column 'class' (what kind of thing each product is); add it, or --class."
        )


def _product(given: dict[str, Any], beside: Path, known: dict[str, str | None]) -> Product:
    for needed in ("id", "photos", "class"):
        if needed not in given:
            raise CatalogError(f"its {needed} is missing.")
    subject = validated(
        Subject, CatalogError, name=str(given.get("name") or given["id"]),
        trigger=str(given.get("trigger") or "ohwx"), class_noun=given["class"],
    )  # fmt: skip
    chosen = {key: _value(key, value, beside) for key, value in given.items() if key not in OWN}
    choices = validated(Choices, CatalogError, **chosen)
    _once(known, f"base {choices.base}", lambda: _check_base(choices.base))
    for url in (choices.base, choices.assistant, choices.plates, *choices.class_images):
        if is_url(url):
            _check_url(url, known)
    if (
        choices.plates != "none"
        and not is_url(choices.plates)
        and not pathnames.exists(Path(choices.plates))
    ):
        raise CatalogError(f"there is no {choices.plates}, which plates names.")
    if pathnames.is_device_name(str(given["id"]).partition(".")[0]):
        raise CatalogError("its id is a name that Windows keeps for a device.")
    photos = str(given["photos"])
    if is_url(photos):
        _check_url(photos, known)
    else:
        photos = str((beside / pathnames.expand_user(photos)).absolute())
        if not pathnames.exists(Path(photos)):
            raise CatalogError(f"there are no photos at {photos}.")
    return validated(
        Product, CatalogError, id=str(given["id"]), subject=subject, photos=photos, choices=choices
    )


def _value(key: str, value: Any, beside: Path) -> Any:
    """A cell as `Choices` takes it; names of files beside the table as whole paths."""
    if get_origin(Choices.model_fields[key].annotation) is tuple:
        parts = value if isinstance(value, list | tuple) else str(value).split(";")
        words = tuple(str(part).strip() for part in parts if str(part).strip())
        return tuple(placed(key, word, beside) for word in words)
    if key == "rights" and isinstance(value, str):
        return {"photos": value}
    return placed(key, value, beside) if isinstance(value, str) else value


def placed(key: str, name: str, beside: Path) -> str:
    """A choice's value; if it names a file in the folder `beside`, that file's whole path."""
    is_word = re.fullmatch(r"[\w-]+", name) is not None
    may_be = key in _FILES or (key in _FILES_OR_WORDS and not is_word)
    path = beside / pathnames.expand_user(name)
    return str(path.absolute()) if may_be and not is_url(name) and pathnames.exists(path) else name


def _once(known: dict[str, str | None], what: str, check: Callable[[], None]) -> None:
    """Do a check that many rows share once; its fault is each one's."""
    if what not in known:
        known[what] = None
        try:
            check()
        except PackshotError as error:
            known[what] = str(error)
    if known[what]:
        raise CatalogError(known[what])


def _check_base(name: str) -> None:
    from packshot.weights.hub import parse_repo
    from packshot.weights.installed_bases import installed_base

    if not (
        is_url(name) or installed_base(name) or pathnames.exists(Path(name)) or parse_repo(name)
    ):
        raise CatalogError(f"there is no base {name!r}.")


def _check_url(url: str, known: dict[str, str | None]) -> None:
    """Refuse a URL that nothing here can read, or that leads into a private network."""
    try:
        parts = urlsplit(url)
        if web.is_web(url):
            httpx.URL(url, port=parts.port)  # which raises for a port that there cannot be
    except (ValueError, httpx.InvalidURL) as error:
        raise CatalogError(f"{url} is no address: {error}.") from error
    if web.is_web(url):
        host = parts.hostname or ""
        _once(known, f"host {host}", lambda: _check_host(host))
    else:
        scheme = parts.scheme.lower()
        _once(known, f"scheme {scheme}", lambda: _check_scheme(scheme))


def _check_host(host: str) -> None:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError) as error:
        raise CatalogError(f"the host {host!r} is not found.") from error
    if not all(map(is_public, found)):
        raise CatalogError(
            f"{host} is an address of a private network; photos come from public ones, a folder or a store."
        )


def _check_scheme(scheme: str) -> None:
    import fsspec

    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:  # of a package that brings this scheme
        raise CatalogError(f"{scheme}:// needs a package more: {error}") from error
    except ValueError as error:
        raise CatalogError(f"there is no way to read {scheme}://.") from error
