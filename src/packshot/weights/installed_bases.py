"""Bases in installed packages: entry points of the group `packshot.bases`, from name to folder."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

GROUP = "packshot.bases"
BUNDLED = "pocket"
"""The name of the base that `packshot[demo]` installs."""


def installed_base(name: str) -> Path | None:
    """The folder of the installed base of this name; None if there is none."""
    for point in entry_points(group=GROUP, name=name):
        return Path(point.load())
    return None
