"""What long work tells and asks, so that no step prints: a callback, and an observer."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`; `what` names the work in a few words."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


class Observer:
    """Who follows some work. This one hears nothing and agrees to nothing."""

    insists = False
    """Whether it agrees to all that is offered, also to what was refused or failed before."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Where some work is (a `Progress`)."""

    def say(self, text: str) -> None:
        """Something to know: what was settled and why, what is missing, what was done before."""

    def agrees(self, question: str) -> bool:
        """Whether the user wants what is offered, such as downloading a model."""
        return False
