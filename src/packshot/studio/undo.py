"""Taking back what was just done, while the studio runs."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable

from packshot.errors import PackshotError

KEPT = 50


class UndoError(PackshotError):
    """What was done can no longer be taken back."""


class UndoList:
    """The last changes, each with what takes it back. From any thread."""

    def __init__(self) -> None:
        self._changes: OrderedDict[str, tuple[Callable[[], object], str]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, take_back: Callable[[], object], then: str = "") -> str:
        """Remember a change; the address to post to, to take it back.

        Args:
            take_back: is called once, in a thread.
            then: names of events for the page, as of `Visit.notice`.
        """
        token = secrets.token_urlsafe(12)
        with self._lock:
            self._changes[token] = (take_back, then)
            while len(self._changes) > KEPT:
                self._changes.popitem(last=False)
        return f"/undo/{token}"

    def take_back(self, token: str) -> str:
        """Take a change back; the names of events for the page.

        Where that is refused, it can be tried again.

        Raises:
            UndoError: it is not there any more, or was taken back.
        """
        with self._lock:
            if token not in self._changes:
                raise UndoError("This can no longer be taken back.")
            take_back, then = self._changes.pop(token)
        try:
            take_back()
        except Exception:
            with self._lock:
                self._changes[token] = take_back, then
            raise
        return then
