"""Deliver: what there is to hand over, shop pictures in the formats of shops, one ZIP."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import FileResponse, Response

from packshot.delivery import SHOP_FORMATS
from packshot.generation.favourites import read_favourites
from packshot.generation.generate import read_generated_images
from packshot.insertion.record import read_records
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.studio.pages import Visit, view
from packshot.studio.views.pictures import SOURCES
from packshot.studio.views.steps import Step

ENDINGS = {one.ending for one in SHOP_FORMATS.values()}


@dataclass(frozen=True)
class Archive:
    """The ZIP of the last delivery."""

    name: str
    bytes: int
    files: int


def archive_file(project: Project) -> Path:
    """Where a delivery's ZIP lies, whether it is there or not."""
    return project.delivery_folder / f"{project.slug}.zip"


STEP = Step("deliver", lambda project: archive_file(project).is_file())


@view("/p/{project}/deliver")
def show(visit: Visit) -> Response:
    """The page: what is there, and what is wanted of it."""
    project = visit.here
    photos = [photo for photo in list_photos(project, {}) if photo.mask]
    loras = [one for one in (project.lora_file, project.diffusers_lora_file) if one.is_file()]
    counts = {
        "lora": len(loras), "shop": len(photos), "shots": _shots(project),
        "insertions": len(read_records(project.insertions_folder)), "report": 1,
    }  # fmt: skip
    formats = list(SHOP_FORMATS.values())
    return visit.page(
        "deliver.html", photos=photos, counts=counts, formats=formats,
        favourites=len(read_favourites(project)),
    )  # fmt: skip


@view("/p/{project}/deliver", "POST")
def start(visit: Visit) -> Response:
    """Queue the delivery."""
    options = [
        f"--{name}={value}"
        for name in ("part", "format", "photo")
        for value in visit.form.get(name, [])
    ]
    if not visit.form.get("part"):
        return visit.notice("deliver.nothing_chosen")
    if "shop" in visit.form["part"] and not (visit.form.get("format") and visit.form.get("photo")):
        return visit.notice("deliver.no_shop_picture")  # the command would make all of them
    visit.studio.queue.add(
        visit.here, "deliver", "deliver", f"--language={visit.t.language}", *options, heavy=False
    )
    return visit.notice("deliver.queued")


@view("/p/{project}/deliver/made")
def made(visit: Visit) -> Response:
    """What was delivered last."""
    return visit.page(
        "_delivery.html", archive=_archive(visit.here), pictures=_shop_pictures(visit.here)
    )


@view("/p/{project}/deliver/zip")
def download(visit: Visit) -> Response:
    """The ZIP."""
    file = archive_file(visit.here)
    if not file.is_file():
        return Response(status_code=404)
    return FileResponse(file, media_type="application/zip", filename=file.name)


def _archive(project: Project) -> Archive | None:
    file = archive_file(project)
    try:
        with zipfile.ZipFile(file) as opened:
            return Archive(file.name, file.stat().st_size, len(opened.namelist()))
    except (OSError, zipfile.BadZipFile):
        return None


def _shots(project: Project) -> int:
    if favourites := read_favourites(project):
        return len(favourites)
    folders = project.shots_folder, project.shots_folder / "with"
    return sum(len(read_generated_images(folder)) for folder in folders)


def _shop_pictures(project: Project) -> list[Path]:
    folder = project.delivery_folder / "shop"
    return sorted(path for path in folder.glob("*") if path.suffix in ENDINGS)


SOURCES["shop"] = _shop_pictures
ROUTES = [show, start, made, download]
