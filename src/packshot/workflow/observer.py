"""The interface through which a console, a web page or a program follows a whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packshot.utils.progress import Observer

if TYPE_CHECKING:
    from packshot.masks import MaskResult
    from packshot.plan import Plan
    from packshot.training import Event


class RunObserver(Observer):
    """Receives the reports of a whole run. This one ignores them, declines and never stops it."""

    def refused(self, refused: dict[str, str]) -> None:
        """Photos that were refused, with the reasons."""

    def masked(self, masked: MaskResult) -> None:
        """The masks and who made them, and the photos in which no product was found."""

    def plan(self, plan: Plan) -> None:
        """The plan that training will follow."""

    def event(self, event: Event) -> None:
        """An event of training."""

    def should_stop(self) -> bool:
        """Whether training shall stop after this step."""
        return False
