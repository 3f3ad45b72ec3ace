"""Downloading politely and safely.

Politely: with a contact in the User-Agent, at each host's pace (`rate_limit.py`), respecting opt-outs
from training (`http_responses.py`).
Safely: public addresses only, with time limits (`public_http.py`), few redirects, and no more bytes
than an image can need.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from typing import Any, TypeVar

import httpx

from packshot.class_images.online import http_responses
from packshot.class_images.online.http_responses import (
    PermanentHttpError,
    RetryLaterError,
    TransientHttpError,
)
from packshot.class_images.online.public_http import AddressRefused, PublicTransport
from packshot.class_images.online.rate_limit import Clock, HostRateLimiter
from packshot.errors import ClassImagesError, ImageRejectedError
from packshot.images.loading import DAMAGED

T = TypeVar("T")

WORKERS = 8
_TRIES = 5
_MOST_REDIRECTS = 5
_GIVE_UP = 3
"""Pictures in a row that a host may leave unanswered before the others of it are not asked for."""


def check_contact(contact: str | None) -> str:
    """Validate the e-mail address or URL for the User-Agent.

    Raises:
        ClassImagesError: it is missing, or neither an e-mail address nor a URL.
    """
    contact = (contact or "").strip()
    if not re.fullmatch(r"[!-~]+@[!-~]+\.[!-~]+|https?://[!-~]+\.[!-~]+", contact):
        fault = f"'{contact}' is not one" if contact else "none is given"
        raise ClassImagesError(
            "The sites that images come from want an e-mail address or URL at which to reach "
            f"whoever asks, and {fault}. Name yours: --contact you@example.org, or PACKSHOT_CONTACT."
        )
    return contact


class Fetcher:
    """A thread-safe HTTP client with `contact` in its User-Agent.

    Args:
        allow: see `network.PublicTransport`.
    """

    def __init__(
        self, contact: str, clock: Clock | None = None, allow: Collection[tuple[str, int]] = ()
    ) -> None:
        name = f"Packshot/{version('packshot')} ({contact}) python-httpx/{httpx.__version__}"
        self.clock = clock or Clock()
        self.hosts = HostRateLimiter(self.clock)
        self._client = httpx.Client(
            transport=PublicTransport(WORKERS + 1, allow),
            headers={"User-Agent": name, "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(20, connect=10, pool=None),
            trust_env=False,
        )
        self._failures: Counter[str] = Counter()
        """By host, how many went unanswered since it last answered."""

    def close(self) -> None:
        """Cancel all waiting requests and close the connections."""
        self.hosts.cancel()
        self._client.close()

    def json(
        self,
        url: str,
        read: Callable[[Any], T],
        headers: Mapping[str, str] | None = None,
        pace: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> T:
        """Request JSON and convert it by `read`, whose ValueError and the like cause a retry.

        Args:
            pace: a context manager around each request, also of retries.

        Raises:
            Refused: the server will not answer this.
            Unanswered: it does not now.
        """
        headers = {"Accept-Encoding": "gzip", **(headers or {})}

        def attempt() -> T:
            with pace():
                data = self._body(
                    url, headers, http_responses.check_response, http_responses.MOST_JSON
                )
            try:
                return read(json.loads(data))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                reason = f"it answered something else than was asked for ({error})"
                raise TransientHttpError(reason[:300]) from error

        return self._patiently(url, attempt)

    def picture(self, url: str, opened: Callable[[bytes], T]) -> T:
        """Request an image and convert its bytes by `opened`.

        Raises:
            ImageRejectedError: (of `opened`) they are no picture; one cut short is asked for again first.
            Refused: it is not to be had, or not to be used.
            Unanswered: it does not come now.
        """
        damaged: list[ImageRejectedError] = []

        def attempt() -> T:
            data = self._body(
                url, {}, http_responses.check_image_response, http_responses.MOST_BYTES
            )
            try:
                return opened(data)
            except ImageRejectedError as error:
                if error.reason != DAMAGED:
                    raise
                damaged.append(error)
                raise TransientHttpError(error.reason) from error

        try:
            return self._patiently(url, attempt)
        except RetryLaterError:
            if len(damaged) == _TRIES:
                raise damaged[0] from None
            raise

    def _patiently(self, url: str, attempt: Callable[[], T]) -> T:
        """Retry with increasing waits."""
        try:
            host = httpx.URL(url).host
        except (httpx.InvalidURL, ValueError) as error:
            raise PermanentHttpError(f"is no URL ({error})") from error
        if self._failures[host] >= _GIVE_UP:
            raise RetryLaterError(f"{host} has left {_GIVE_UP} in a row unanswered")
        for number in range(_TRIES):
            if number:
                self.hosts.sleep(2.0 ** (number - 1))
            try:
                got = attempt()
            except TransientHttpError as error:
                fault = error
            else:
                self._failures[host] = 0
                return got
        self._failures[host] += 1
        raise RetryLaterError(f"{host} did not answer, asked {_TRIES} times: {fault}")

    def _body(
        self,
        url: str,
        headers: Mapping[str, str],
        judge: Callable[[httpx.Response], None],
        most: int,
    ) -> bytes:
        """The body of one response that `check` accepts, following redirects.

        Raises:
            Transient, Refused, Unanswered
        """
        try:
            request = self._client.build_request("GET", url, headers=headers)
            for _ in range(_MOST_REDIRECTS + 1):
                host = request.url.host
                with self.hosts.slot(host):
                    response = self._client.send(request, stream=True)
                    try:
                        self.hosts.back_off(
                            host, http_responses.retry_after(response, self.clock.now())
                        )
                        if response.next_request is None:
                            judge(response)
                            return http_responses.read_body(response, most)
                        request = response.next_request
                    finally:
                        response.close()
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError, AddressRefused) as error:
            raise PermanentHttpError(f"may not be asked for: {error}") from error
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: closed meanwhile
            raise TransientHttpError(str(error) or type(error).__name__) from error
        raise PermanentHttpError(f"redirects more than {_MOST_REDIRECTS} times")
