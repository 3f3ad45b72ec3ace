"""How long work reports where it is: one callback, so that no step prints."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`; `what` names the work in a few words."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
