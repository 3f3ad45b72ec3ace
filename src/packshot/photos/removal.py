"""Taking photos out of a project, so that it can be undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from packshot.errors import ProjectError
from packshot.photos import manifest
from packshot.project import Project
from packshot.utils import pathnames


def remove_photos(project: Project, names: Sequence[str]) -> list[str]:
    """Take photos out, with their captions and masks; `restore_photos` puts them back.

    They lie in the project's `photos/removed/` from then on, and the manifest keeps their entries.

    Returns:
        The names of those that were there.

    Raises:
        ProjectError: another process works on the project, or it has no photo of such a name.
    """
    return _move(project, names, project.photos_folder, project.removed_photos_folder)


def restore_photos(project: Project, names: Sequence[str]) -> list[str]:
    """Undo `remove_photos`, likewise."""
    return _move(project, names, project.removed_photos_folder, project.photos_folder)


def _move(project: Project, names: Sequence[str], source: Path, target: Path) -> list[str]:
    with project.held():
        known = {entry.file for entry in manifest.read(project).photos}
        if unknown := [name for name in names if name not in known]:
            raise ProjectError(f"The project has no photo {', '.join(map(repr, unknown))}.")
        there = [
            name for name in names if (source / name).is_file() and not (target / name).exists()
        ]
        for name in there:
            for part in _parts(name):
                if (source / part).is_file():
                    (target / part).parent.mkdir(parents=True, exist_ok=True)
                    (source / part).replace(target / part)
        return there


def _parts(name: str) -> Iterator[str]:
    """A photo's files below its folder, the photo itself last: until then it counts as there."""
    stem = Path(pathnames.printable_name(name)).stem
    yield f"{stem}.txt"
    yield f"masks/{stem}.png"
    yield name
