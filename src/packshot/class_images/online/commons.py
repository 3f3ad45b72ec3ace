"""Wikimedia Commons (https://commons.wikimedia.org), through MediaWiki's action API."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from packshot.class_images.online.api_search import Ask, Limit, Read, candidates_in, walk
from packshot.class_images.online.candidate import Candidate, plain
from packshot.class_images.online.licences import licence_code, licence_name

API = "https://commons.wikimedia.org/w/api.php"
DEPTH = 10_000
"""The number of results that are accessible per query."""
WIDTH = 1280
"""Pixels. One of the widths that Commons keeps ready; others it refuses, and originals are large."""
_PAGE = 50
_LIMITS = (Limit(60, 60),)
"""Commons names no number for reading; it asks for one request after the other."""


class Commons:
    """JPEGs by search words; Commons has no filter for licences, so more are listed than used."""

    name = "commons"
    limits: Sequence[Limit] = _LIMITS

    def __init__(self, words: str, api: str = API) -> None:
        self._words, self._api = words, api

    def candidates(self, ask: Ask) -> Iterator[Candidate]:
        return walk(self._words, lambda query, number: ask(*self._request(query, number), {}))

    def _request(self, query: str, number: int) -> tuple[str, Read]:
        after = number * _PAGE
        url = f"{self._api}?" + urlencode(
            {
                "action": "query",
                "format": "json",
                "formatversion": 2,
                "generator": "search",
                "gsrnamespace": 6,
                "gsrsearch": f"{query} filetype:bitmap filemime:image/jpeg",
                "gsrlimit": _PAGE,
                "gsroffset": after - _PAGE,
                "prop": "imageinfo",
                "iiprop": "url|size|mime|extmetadata",
                "iiurlwidth": WIDTH,
                "iiextmetadatafilter": "LicenseShortName|LicenseUrl|Artist",
            }
        )

        def read(answer: Any) -> tuple[list[Candidate], bool]:
            if "error" in answer:
                raise ValueError(answer["error"]["info"])
            # PHP writes an empty object as a list.
            pages = list((answer.get("query") or {}).get("pages") or [])
            more = "gsroffset" in (answer.get("continue") or {}) and after < DEPTH
            return candidates_in(sorted(pages, key=_rank), _candidate), more

        return url, read


def _rank(page: Any) -> float:
    """The place of a page among the results; what tells none is last."""
    index = page.get("index") if isinstance(page, dict) else None
    return index if isinstance(index, int) else math.inf


def _candidate(page: dict[str, Any]) -> Candidate | None:
    info = next(iter(page.get("imageinfo") or []), None)
    if not info:  # deleted since it was indexed
        return None
    entries = info.get("extmetadata") or {}
    metadata = {name: plain(entry["value"]) for name, entry in entries.items()}
    licence = metadata.get("LicenseShortName", ""), metadata.get("LicenseUrl", "")
    if not licence_code(*licence):
        return None
    return Candidate(
        url=(url := info.get("thumburl") or info["url"]),
        source=info.get("descriptionurl") or url,
        title=plain(re.sub(r"^File:|\.\w+$", "", str(page.get("title") or ""))),
        author=metadata.get("Artist") or "unknown",
        licence=licence_name(*licence),
        licence_url=licence[1],
        width=info.get("thumbwidth") or info.get("width"),
        height=info.get("thumbheight") or info.get("height"),
    )
