"""Taking back what was just done, while the studio runs."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from packshot.errors import PackshotError

KEPT = 50


class UndoError(PackshotError):
    """What was done can no longer be taken back."""


@dataclass(frozen=True)
class _Change:
    take_back: Callable[[], object]
    then: str
    now: Callable[[], object]
    left: object

    def undo(self) -> None:
        if self.now() != self.left:
            raise UndoError("This was changed again since. Take the later change back first.")
        self.take_back()


class UndoList:
    """The last changes, each with what takes it back. From any thread."""

    def __init__(self) -> None:
        self._changes: OrderedDict[str, _Change] = OrderedDict()
        self._lock = threading.Lock()

    def add(
        self, take_back: Callable[[], object], now: Callable[[], object], then: str = ""
    ) -> str:
        """Remember a change that was just made; the address to post to, to take it back.

        Args:
            take_back: is called once, in a thread.
            now: reads what was changed. Where that is no longer what this change left, taking it back
                would lose what came later, and is refused.
            then: names of events for the page, as of `Visit.notice`.
        """
        token, change = secrets.token_urlsafe(12), _Change(take_back, then, now, now())
        with self._lock:
            self._changes[token] = change
            while len(self._changes) > KEPT:
                self._changes.popitem(last=False)
        return f"/undo/{token}"

    def take_back(self, token: str) -> str:
        """Take a change back; the names of events for the page.

        Where that is refused, it can be tried again.

        Raises:
            UndoError: it is not there any more, was taken back, or something later stands in its place.
        """
        with self._lock:
            if token not in self._changes:
                raise UndoError("This can no longer be taken back.")
            change = self._changes.pop(token)
        try:
            change.undo()
        except Exception:
            with self._lock:
                self._changes[token] = change
            raise
        return change.then
