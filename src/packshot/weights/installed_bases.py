"""Bases that installed packages bring: entry points of the group `packshot.bases`, a name for a folder."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

GROUP = "packshot.bases"
BUNDLED = "pocket"
"""The name of the base that `packshot[demo]` installs."""


def installed_base(name: str) -> Path | None:
    """The folder of the base that a package brings by this name; None where none does."""
    for point in entry_points(group=GROUP, name=name):
        return Path(point.load())
    return None
