"""Who follows a whole run: the command line's console, a web page, a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packshot.utils.progress import Observer

if TYPE_CHECKING:
    from packshot.masks import MaskResult
    from packshot.plan import Plan
    from packshot.training import Event


class RunObserver(Observer):
    """Hears of every step. This one hears nothing, agrees to nothing, and never stops it."""

    def refused(self, refused: dict[str, str]) -> None:
        """Which photos were refused, and why."""

    def masked(self, masked: MaskResult) -> None:
        """Whose masks stand now, and in which photos no product was found."""

    def plan(self, plan: Plan) -> None:
        """The plan that is about to be carried out."""

    def event(self, event: Event) -> None:
        """What training tells."""

    def should_stop(self) -> bool:
        """Whether training shall stop after this step."""
        return False
