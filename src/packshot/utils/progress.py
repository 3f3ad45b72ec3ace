"""What long work tells and asks, so that no step prints: a callback, and an observer of the whole path."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packshot.masks import MaskResult
    from packshot.plan import Plan
    from packshot.training import Event

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`; `what` names the work in a few words."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


class Observer:
    """Who follows the whole path. This one hears nothing, agrees to nothing, and never stops it."""

    insists = False
    """Whether it agrees to all that is offered, also to what was refused or failed before."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Where some work is (a `Progress`)."""

    def say(self, text: str) -> None:
        """Something to know: what was settled and why, what is missing, what was done before."""

    def refused(self, refused: dict[str, str]) -> None:
        """Which photos were refused, and why."""

    def masked(self, masked: MaskResult) -> None:
        """Whose masks stand now, and in which photos no product was found."""

    def plan(self, plan: Plan) -> None:
        """The plan that is about to be carried out."""

    def event(self, event: Event) -> None:
        """What training tells."""

    def agrees(self, question: str) -> bool:
        """Whether the user wants what is offered, such as fetching a model."""
        return False

    def should_stop(self) -> bool:
        """Whether training shall stop after this step."""
        return False
