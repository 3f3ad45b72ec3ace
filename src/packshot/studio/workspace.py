"""The projects and catalogues of one folder, by id: no name of a file ever comes from the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packshot.catalog.outcome import PRODUCTS
from packshot.catalog.rows import RESULTS
from packshot.catalog.table import ID
from packshot.errors import PackshotError, ProjectError
from packshot.project import Project, create_project, open_project, slug_of
from packshot.utils import caches, files, hashing, pathnames, reading


@dataclass(frozen=True)
class Workspace:
    """A folder whose subfolders, or which itself, are projects."""

    folder: Path

    @property
    def state_folder(self) -> Path:
        """The studio's own: the queue, and files on their way into projects.

        In the user's cache: a folder of projects may be somebody else's, and what is queued is run.
        """
        whole = str(self.folder.resolve())
        return caches.cache_folder() / "studio" / hashing.fingerprint(whole)[:16]

    def projects(self) -> dict[str, Path]:
        """Folders of projects by id, by name. Links are left out: they may lead anywhere."""
        return self._folders(_is_project)

    def catalogues(self) -> dict[str, Path]:
        """Folders that `packshot catalog` has written to, by id, by name; without links."""
        return self._folders(_is_catalogue)

    def _folders(self, is_one: Callable[[Path], bool]) -> dict[str, Path]:
        if not self.folder.is_dir():
            return {}
        inside = sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))
        return {
            self._id(path): path
            for path in (self.folder, *inside)
            if path.is_dir() and (path == self.folder or not path.is_symlink()) and is_one(path)
        }

    def id_of(self, root: Path) -> str:
        """The id of a project's folder: the same in every start.

        That of a catalogue's product begins with the catalogue's, for a page of thousands to link to.
        """
        if root.parent.name == PRODUCTS and root.parent.parent in self.catalogues().values():
            return self.product_id(self._id(root.parent.parent), root.name)
        return self._id(root)

    def product_id(self, catalogue: str, product: str) -> str:
        """The id of the project of a catalogue's product."""
        return f"{catalogue}.{product}"

    def _id(self, folder: Path) -> str:
        return hashing.fingerprint(folder.relative_to(self.folder).as_posix())[:12]

    def is_toured(self, id: str) -> bool:
        """Whether the pages of a project show what to do, step by step."""
        return id in self._toured()

    def set_toured(self, id: str, is_so: bool) -> None:
        """Have the pages of a project show what to do, or no longer."""
        others = self._toured() - {id}
        files.write_json(self._tours_file, sorted(others | {id} if is_so else others))

    def _toured(self) -> set[str]:
        try:
            told = reading.read_json(self._tours_file)
        except PackshotError:  # it is for show
            return set()
        return {str(one) for one in told} if isinstance(told, list) else set()

    @property
    def _tours_file(self) -> Path:
        return self.state_folder / "tours.json"

    def open(self, id: str) -> Project:
        """Open a project.

        Raises:
            UnknownProjectError: there is none with this id.
            ProjectError, UnsafePathError: as `packshot.project.open_project`.
        """
        root = self._product(id) if "." in id else self.projects().get(id)
        if root is None:
            raise UnknownProjectError("There is no such project in this folder.")
        return open_project(root)

    def catalogue(self, id: str) -> Path:
        """The folder of a catalogue.

        Raises:
            UnknownProjectError: there is none with this id.
        """
        if (folder := self.catalogues().get(id)) is None:
            raise UnknownProjectError("There is no such catalogue in this folder.")
        return folder

    def _product(self, id: str) -> Path | None:
        """The project's folder of a catalogue's product."""
        catalogue, _, product = id.partition(".")
        folder = self.catalogues().get(catalogue)
        if folder is None or not self.has_product(folder, product):
            return None
        return folder / PRODUCTS / product

    def has_product(self, catalogue: Path, product: str) -> bool:
        """Whether a catalogue's product is a project in its folder."""
        if not re.fullmatch(ID, product):
            return False
        root = pathnames.safe_join(catalogue, f"{PRODUCTS}/{product}")
        return not root.is_symlink() and _is_project(root)

    def create(self, name: str, class_noun: str, trigger: str = "ohwx") -> Project:
        """Create a project in a new folder that is named after the product.

        Raises:
            ProjectError: a name or class that no project takes.
        """
        stem = slug_of(name)
        taken = {path.name.lower() for path in self.folder.iterdir()}
        numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
        folder = next(one for one in (stem, *numbered) if one not in taken)
        return create_project(
            self.folder / folder, name=name, class_noun=class_noun, trigger=trigger
        )


class UnknownProjectError(ProjectError):
    """There is no project or catalogue with this id."""


def _is_catalogue(path: Path) -> bool:
    return all(pathnames.is_file(path / name) for name in (RESULTS, "index.html"))


def _is_project(path: Path) -> bool:
    try:
        return Project(path).settings_file.is_file()
    except (OSError, PackshotError):
        return False
