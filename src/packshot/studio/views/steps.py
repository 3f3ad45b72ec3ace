"""The steps of a project, as its pages list them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from packshot.photos import manifest
from packshot.project import Project


@dataclass(frozen=True)
class Step:
    """A view of a project: at `/p/ID/NAME`, called `steps.NAME` in the texts."""

    name: str
    is_done: Callable[[Project], bool]
    """Whether the project has what this step makes; it must be cheap to ask."""


def photo_names(project: Project) -> list[str]:
    """Names of the project's photos, without reading them."""
    entries = manifest.read(project).photos
    return [entry.file for entry in entries if (project.photos_folder / entry.file).is_file()]
