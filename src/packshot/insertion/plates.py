"""The project's plates: photos that the product is put into, and the places painted on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from packshot.errors import ImageRejectedError, InsertionError
from packshot.images.masks import has_shape, resized, shows_a_product
from packshot.images.sources import PICTURE_ENDINGS, picture_files
from packshot.insertion.background import load_background
from packshot.project import Project
from packshot.utils import copying, files, hashing, pathnames

_MOST_NAME = 80


def list_plates(project: Project) -> list[Path]:
    """The project's plates, by name."""
    folder = project.plates_folder
    return sorted(picture_files(folder)) if folder.is_dir() else []


def add_plate(project: Project, file: Path, name: str | None = None) -> Path:
    """Copy a photo into the project's plates, as it is.

    Args:
        name: what to call it; by default as the file. A number is added where the name is taken by
            another picture.

    Returns:
        The plate; the one that is there already if it is the same picture.

    Raises:
        ImageRejectedError: it cannot be read as a background.
    """
    load_background(file)
    wanted = Path(name or file.name)
    suffix = wanted.suffix.lower()
    if suffix not in PICTURE_ENDINGS:
        raise ImageRejectedError(wanted.name, "has no ending of a picture, such as .jpg or .png")
    plain = re.sub(r"[^\w.-]+", "-", wanted.stem).strip("-.") or "plate"
    stem = pathnames.shortened(
        f"plate-{plain}" if pathnames.is_device_name(plain) else plain, _MOST_NAME
    )
    with project.held():
        for other in list_plates(project):
            if hashing.known_sha256(other) == hashing.sha256(file):
                return other
        taken = {path.stem.lower() for path in _all(project)}
        numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
        free = next(one for one in (stem, *numbered) if one.lower() not in taken)
        target = project.plates_folder / f"{free}{suffix}"
        copying.copy(file, target)
        return target


def plate_named(project: Project, name: str) -> Path:
    """A plate by its file's name.

    Raises:
        InsertionError: there is none.
    """
    for plate in list_plates(project):
        if plate.name == name:
            return plate
    raise InsertionError(f"The project has no plate {pathnames.printable_name(name)!r}.")


def place_file(project: Project, name: str) -> Path:
    """Where the place that is painted on a plate is kept, whether it is there or not."""
    return project.plates_folder / "masks" / f"{Path(name).stem}.png"


def draw_place(project: Project, name: str, mask: Image.Image | None) -> Path:
    """Keep the place that a person painted on a plate, for `insert` with a mask.

    Args:
        name: the plate's.
        mask: mode L, white where the product goes, of the plate's proportions; None to drop it.

    Raises:
        ImageRejectedError: it is empty, covers everything, or is of another shape.
        InsertionError: there is no such plate.
    """
    plate, file = plate_named(project, name), place_file(project, name)
    with project.held():
        if mask is None:
            file.unlink(missing_ok=True)
            return file
        upright = load_background(plate)
        size = upright.width, upright.height
        if not has_shape(mask.size, size):
            raise ImageRejectedError(name, "its place is painted in another shape than the plate's")
        whole = resized(mask.convert("L"), size)
        if not shows_a_product(whole):
            raise ImageRejectedError(name, "the painted place is empty, or covers all of the plate")
        files.write_image(file, whole)
    return file


def remove_plates(project: Project, names: Sequence[str]) -> list[str]:
    """Take plates out, with the places painted on them; `restore_plates` puts them back.

    Insertions into them stay.

    Returns:
        The names of those that were there.
    """
    return _move(project, names, project.plates_folder, _removed(project))


def restore_plates(project: Project, names: Sequence[str]) -> list[str]:
    """Undo `remove_plates`, likewise."""
    return _move(project, names, _removed(project), project.plates_folder)


def _move(project: Project, names: Sequence[str], source: Path, target: Path) -> list[str]:
    with project.held():
        there = [
            name
            for name in names
            if Path(name).name == name
            and (source / name).is_file()
            and not (target / name).exists()
        ]
        for name in there:
            for part in (f"masks/{Path(name).stem}.png", name):
                if (source / part).is_file():
                    (target / part).parent.mkdir(parents=True, exist_ok=True)
                    (source / part).replace(target / part)
        return there


def _removed(project: Project) -> Path:
    return project.plates_folder / "removed"


def _all(project: Project) -> list[Path]:
    """Plates that are there or were taken out: none gets the name of another."""
    removed = _removed(project)
    return [*list_plates(project), *(removed.iterdir() if removed.is_dir() else ())]
