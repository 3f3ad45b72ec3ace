"""Per-host rate limits: a few requests at a time, and respecting Retry-After."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from packshot.class_images.online.http_responses import RetryLaterError
from packshot.utils.durations import in_words

PER_HOST = 2
"""Requests at a time; Wikimedia asks for no more than two for its media."""
PATIENCE = 600.0
"""Seconds that one wait may take; who asks for a longer one is left for another run."""


class Clock:
    """The time, and waiting; tests substitute their own."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wait(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait; return at once when cancelled."""
        cancelled.wait(seconds)


class HostRateLimiter:
    """Thread-safe rate limiter per host."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._cancelled = clock, threading.Event()
        self._slots: dict[str, threading.Semaphore] = {}
        self._free_at: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def slot(self, host: str) -> Iterator[None]:
        """Wait for the permission to send a request to a host, and hold it inside the block.

        Raises:
            Unanswered: it wants to be left alone for too long, or all is cancelled.
        """
        with self._slots.setdefault(host, threading.Semaphore(PER_HOST)):
            seconds = self._free_at[host] - self._clock.now()
            if seconds > PATIENCE:
                raise RetryLaterError(f"{host} asks to be left alone for {in_words(seconds)}")
            self.sleep(seconds)
            yield

    def back_off(self, host: str, seconds: float) -> None:
        """Send no requests to a host for some time."""
        self._free_at[host] = max(self._free_at[host], self._clock.now() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            Unanswered: cancelled meanwhile.
        """
        if seconds > 0:
            self._clock.wait(seconds, self._cancelled)
        if self._cancelled.is_set():
            raise RetryLaterError("stopped before it was asked for")

    def cancel(self) -> None:
        """Make all current and later waits fail."""
        self._cancelled.set()
