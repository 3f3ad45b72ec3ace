"""Paging through search APIs: queries, pages and rate limits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from packshot.class_images.online.candidate import Candidate
from packshot.class_images.online.download import Fetcher
from packshot.class_images.online.http_responses import RetryLaterError
from packshot.class_images.online.rate_limit import PATIENCE
from packshot.class_images.online.request_log import (
    Answered,
    Asked,
    Page,
    RejectedUrl,
    RequestLog,
)


@dataclass(frozen=True)
class Limit:
    """A rate limit: at most `requests` within any `seconds`."""

    requests: int
    seconds: float


class Source(Protocol):
    """A source of candidates. Sources without an API have no limits."""

    name: str

    @property
    def limits(self) -> Sequence[Limit]: ...

    def candidates(self, ask: Ask) -> Iterator[Candidate | RejectedUrl]:
        """All candidates, best first, and what is none, with the reason."""
        ...


Read = Callable[[Any], tuple[Sequence[Candidate], bool]]
"""Makes of a JSON answer the candidates on that page, and whether there are more pages.

Raises ValueError, LookupError, TypeError or AttributeError if it is no such answer.
"""


def candidates_in(
    results: Iterable[Any], read: Callable[[Any], Candidate | None]
) -> list[Candidate]:
    """The candidates of a page's results. An odd result costs itself, and not the page."""
    found = []
    for result in results:
        with suppress(
            ValueError, LookupError, TypeError, AttributeError
        ):  # pydantic's is the first
            if candidate := read(result):
                found.append(candidate)
    return found


class Ask(Protocol):
    """Requests one page of an API."""

    def __call__(self, url: str, read: Read, headers: Mapping[str, str]) -> Page: ...


_MODIFIERS = (
    "{}", "red {}", "blue {}", "white {}", "black {}", "yellow {}", "green {}", "silver {}",
    "old {}", "new {}", "vintage {}", "modern {}", "small {}", "large {}", "classic {}",
    "{} outdoors", "{} indoors", "{} street", "{} city", "{} countryside", "{} beach",
    "{} mountains", "{} forest", "{} snow", "{} night", "{} sunset", "{} studio", "{} table",
    "{} close up", "{} side view", "{} front", "{} rear", "{} detail", "{} museum", "{} shop",
    "{} exhibition", "{} collection", "brown {}", "orange {}", "grey {}", "colourful {}",
    "beautiful {}", "two {}", "many {}",
)  # fmt: skip


def queries(words: str) -> list[str]:
    """The words, then variations of them, because APIs return only the first pages of a query."""
    return [modifier.format(words) for modifier in _MODIFIERS]


def walk(words: str, page: Callable[[str, int], Page]) -> Iterator[Candidate]:
    """The candidates of all pages (numbered from 1) of all queries, in order."""
    for query in queries(words):
        for number in itertools.count(1):
            results = page(query, number)
            yield from results.candidates
            if not results.more:
                break


def asking(source: Source, fetcher: Fetcher, ledger: RequestLog) -> Ask:
    """Requests each page of a source's API only once, even across runs, within its rate limits."""

    @contextmanager
    def pace() -> Iterator[None]:
        _wait(source, fetcher, ledger)
        ledger.append(Asked(api=source.name, at=fetcher.clock.now()))
        try:
            yield
        finally:
            ledger.append(Answered(api=source.name, at=fetcher.clock.now()))

    def ask(url: str, read: Read, headers: Mapping[str, str]) -> Page:
        def page(answer: Any) -> Page:
            candidates, more = read(answer)
            return Page(url=url, candidates=tuple(candidates), more=more)

        if url not in ledger.pages:
            ledger.append(fetcher.json(url, page, headers, pace))
        return ledger.pages[url]

    return ask


def _wait(source: Source, fetcher: Fetcher, ledger: RequestLog) -> None:
    """Wait until every rate limit allows a request.

    A request counts from the time of its answer, which is after its arrival at the server: so the
    limit also holds by the server's clock, whatever the latency.
    """
    times, now = ledger.requests[source.name], fetcher.clock.now()
    for limit in source.limits:
        if len(times) < limit.requests:
            continue
        seconds = times[-limit.requests] + limit.seconds - now
        if seconds > PATIENCE:
            free = time.strftime("%A %H:%M", time.localtime(now + seconds))
            raise RetryLaterError(
                f"{source.name} allows {limit.requests} requests in {limit.seconds / 3600:.0f} "
                f"hours, and they are used up until {free}"
            )
        fetcher.hosts.sleep(seconds)
