"""Pictures of a project, whole or small. They are found by name among those that the project lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from starlette.responses import FileResponse, Response

from packshot.project import Project
from packshot.studio.pages import Visit, view
from packshot.studio.thumbnails import WIDTHS, thumbnail
from packshot.studio.views.steps import photo_names

_HEADERS = {"Cache-Control": "private, no-cache"}
"""Kept by the browser, and asked for again: the file may have changed."""


def _photos(project: Project) -> Iterable[Path]:
    return (project.photos_folder / name for name in photo_names(project))


def _masks(project: Project) -> Iterable[Path]:
    masks = (project.masks_folder / f"{Path(name).stem}.png" for name in photo_names(project))
    return (mask for mask in masks if mask.is_file())


@view("/p/{project}/cutouts/{name}")
def cutout(visit: Visit) -> Response:
    """A photo without what is not the product, by its mask."""
    name, project = visit.request.path_params["name"], visit.here
    photo = next((one for one in _photos(project) if one.name == name), None)
    mask = project.masks_folder / f"{Path(name).stem}.png"
    if photo is None or not mask.is_file():
        return Response(status_code=404)
    small = thumbnail(photo, _width(visit.value("w", "")), mask)
    return FileResponse(small, media_type="image/webp", headers=_HEADERS)


SOURCES: dict[str, Callable[[Project], Iterable[Path]]] = {"photo": _photos, "mask": _masks}
"""Kinds of pictures, and the function that lists a project's. A view adds its own."""


@view("/p/{project}/pictures/{kind}/{name:path}")
def show(visit: Visit) -> Response:
    """A picture: `?w=320` for a small one, of `thumbnails.WIDTHS`."""
    kind, name = (visit.request.path_params[key] for key in ("kind", "name"))
    source, project = SOURCES.get(kind), visit.here
    listed = source(project) if source else ()
    file = next((one for one in listed if name in (one.name, name_of(project, one))), None)
    if file is None:
        return Response(status_code=404)
    width = visit.value("w", "")
    if not width:
        return FileResponse(file, headers=_HEADERS)
    small = thumbnail(file, _width(width))
    return FileResponse(small, media_type="image/webp", headers=_HEADERS)


def name_of(project: Project, file: Path) -> str:
    """A picture's name in its address: its path in the project."""
    return file.relative_to(project.root).as_posix()


def _width(text: str) -> int:
    """The width that is nearest to what is asked for."""
    asked = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else WIDTHS[0]
    return min(WIDTHS, key=lambda one: abs(one - asked))


ROUTES = [show, cutout]
