"""What lies at a web address, from public hosts alone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx

from packshot.catalog.store import bounded, patiently
from packshot.class_images.online.public_http import PublicTransport
from packshot.errors import CatalogError, ClassImagesError, reason_of
from packshot.utils import files

MOST_BYTES = 4 * 2**30
_CHUNK = 2**20
_LATER = (408, 429)
"""Answers of a server that may come to more when it is asked again, beside its own faults."""


def is_web(url: str) -> bool:
    """Whether a URL is a web address."""
    return urlsplit(url).scheme.lower() in ("http", "https")


def fetch(url: str, path: Path | None) -> None:
    """Make what is at a web address a file; without a path only see whether it would be given.

    Raises:
        CatalogError: it is not given, or is more than `MOST_BYTES`.
        DiskFullError: there is no room for it.
    """
    try:
        patiently(_fetch, url, path)
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ClassImagesError) as error:
        raise CatalogError(f"{url} cannot be fetched: {reason_of(error)}.") from error


def _fetch(url: str, path: Path | None) -> None:
    with (
        httpx.Client(transport=PublicTransport(1), follow_redirects=True) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.is_client_error and answer.status_code not in _LATER:
            told = f"{answer.status_code} {answer.reason_phrase}"
            raise CatalogError(f"{url} cannot be fetched: {told}.")
        answer.raise_for_status()
        if path:
            path.unlink(missing_ok=True)  # of a request that broke off
            files.write_stream(bounded(url, answer.iter_bytes(_CHUNK), MOST_BYTES), path)
