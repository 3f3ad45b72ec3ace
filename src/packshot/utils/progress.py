"""Progress callbacks and observers, through which steps report and ask instead of printing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`; `what` names the work in a few words."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


class Observer:
    """Receives reports and questions of some work. This one ignores reports and declines everything."""

    insists = False
    """Whether it agrees to all that is offered, also to what was refused or failed before."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Report the progress of some work (a `Progress`)."""

    def say(self, text: str) -> None:
        """Report a message, such as a decision and its reason, or what is missing."""

    def agrees(self, question: str) -> bool:
        """Ask the user to agree to an offer, such as downloading a model."""
        return False
