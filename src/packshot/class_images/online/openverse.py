"""Openverse (https://api.openverse.org): images under open licences from many collections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from packshot.class_images.online.api_search import Ask, Limit, Read, candidates_in, walk
from packshot.class_images.online.candidate import Candidate, plain
from packshot.class_images.online.http_responses import PermanentHttpError
from packshot.class_images.online.licences import licence_code, licence_name
from packshot.class_images.online.request_log import Page

API = "https://api.openverse.org/v1/images/"
DEPTH = 240
"""How many results of one query it shows."""
_ANONYMOUS = (Limit(20, 60), Limit(200, 86_400))
_REGISTERED = (Limit(100, 60), Limit(10_000, 86_400))
_SMALL_PAGE, _LARGE_PAGE = 20, 48
"""Without a token 20 is the most; with one 50 is, and 48 divides the depth."""


class Openverse:
    """Photographs by search words.

    Args:
        token: an access token of the user's, for more requests and larger pages. An expired one is
            ignored.
    """

    name = "openverse"

    def __init__(
        self, words: str, licences: Sequence[str], token: str | None = None, api: str = API
    ) -> None:
        self._words, self._licences, self._token, self._api = words, licences, token, api

    @property
    def limits(self) -> Sequence[Limit]:
        return _REGISTERED if self._token else _ANONYMOUS

    def candidates(self, ask: Ask) -> Iterator[Candidate]:
        return walk(self._words, lambda query, number: self._page(ask, query, number))

    def _page(self, ask: Ask, query: str, number: int) -> Page:
        url = self._url(query, number)
        try:
            return ask(url, self._reader(number), self._headers)
        except PermanentHttpError as error:
            if error.status == 401 and self._token:
                # The same number of a smaller page lies before: nothing is missed.
                self._token = None
                return self._page(ask, query, number)
            if error.status in (400, 401, 404) and number > 1:
                return Page(url=url, candidates=(), more=False)  # deeper than it shows
            raise PermanentHttpError(
                f"Openverse refused {url}: it {error}", error.status
            ) from error

    @property
    def _page_size(self) -> int:
        return _LARGE_PAGE if self._token else _SMALL_PAGE

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _url(self, query: str, number: int) -> str:
        return f"{self._api}?" + urlencode(
            {
                "q": query,
                "license": ",".join(self._licences),
                "category": "photograph",
                "size": "medium,large",
                "page": number,
                "page_size": self._page_size,
            }
        )

    def _reader(self, number: int) -> Read:
        size = self._page_size

        def read(answer: Any) -> tuple[list[Candidate], bool]:
            results = list(answer["results"] or [])
            pages = answer.get("page_count")
            more = isinstance(pages, int) and number < pages and (number + 1) * size <= DEPTH
            return candidates_in(results, _candidate), more and bool(results)

        return read


def _candidate(item: dict[str, Any]) -> Candidate | None:
    licence = plain(f"{item['license']} {item.get('license_version') or ''}")
    url = item.get("url")
    if not isinstance(url, str) or not licence_code(licence):
        return None
    return Candidate(
        url=url,
        source=plain(item.get("foreign_landing_url")) or url,
        title=plain(item.get("title")),
        author=plain(item.get("creator")) or "unknown",
        licence=licence_name(licence),
        licence_url=plain(item.get("license_url")),
        width=item.get("width"),
        height=item.get("height"),
    )
