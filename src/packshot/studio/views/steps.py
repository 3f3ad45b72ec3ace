"""The steps of a project, as its pages list them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from packshot.photos import manifest
from packshot.project import Project
from packshot.utils import hashing


@dataclass(frozen=True)
class Step:
    """A view of a project: at `/p/ID/NAME`, called `steps.NAME` in the texts."""

    name: str
    is_done: Callable[[Project], bool]
    """Whether the project has what this step makes; it must be cheap to ask."""


def photo_names(project: Project) -> list[str]:
    """Names of the project's photos, without reading them."""
    folder = project.photos_folder
    try:
        names = _names(project, hashing.stamp(project.photos_manifest))
    except FileNotFoundError:
        return []
    return [name for name in names if (folder / name).is_file()]


@lru_cache(maxsize=64)
def _names(project: Project, stamp: tuple[int, int, int]) -> tuple[str, ...]:
    """The names in a project's manifest, which each of hundreds of small pictures asks for."""
    return tuple(entry.file for entry in manifest.read(project).photos)
