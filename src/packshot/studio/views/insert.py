"""Insert: plates, the place on them, light and horizon with a live preview; results and their checks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from packshot.errors import ImageRejectedError, PackshotError
from packshot.images.loading import read_picture
from packshot.insertion.background import load_background
from packshot.insertion.plates import (
    add_plate,
    draw_place,
    list_plates,
    place_file,
    plate_named,
    remove_plates,
    restore_plates,
)
from packshot.insertion.record import (
    CheckRecord,
    InsertionRecord,
    free_name,
    read_records,
    remove_insertions,
    restore_insertions,
)
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.studio.pages import Visit, receiver, view
from packshot.studio.uploads import open_batch
from packshot.studio.views.photos import MAX_MASK_BYTES
from packshot.studio.views.pictures import SOURCES
from packshot.studio.views.steps import Step
from packshot.utils import pathnames

STEP = Step("insert", lambda project: any(project.insertions_folder.glob("*.json")))
_SETTINGS = {
    "photo": "photo", "horizon": "horizon", "light_azimuth_degrees": "light-azimuth",
    "light_elevation_degrees": "light-elevation", "light_hardness": "light-hardness",
    "reflection": "reflection",
}  # fmt: skip
"""Settings of an insertion that the page sends, and the command's options for them."""


@dataclass(frozen=True)
class Start:
    """What the page begins with: the last insertion's into this plate, else a place near the middle."""

    width: int
    height: int
    box: tuple[int, int, int, int]
    horizon: str = ""
    azimuth: str = ""
    elevation: str = ""
    hardness: str = ""
    photo: str = ""


@dataclass(frozen=True)
class Result:
    """An insertion as the page shows it."""

    record: InsertionRecord
    plate: str
    """The name of its plate, if that is unchanged in the project: for before and after."""


@view("/p/{project}/insert")
def show(visit: Visit) -> Response:
    """The page, with the plate of the address, else the first."""
    project = visit.here
    plates = list_plates(project)
    asked = visit.value("plate", "")
    plate = next((one for one in plates if one.name == asked), plates[0] if plates else None)
    photos = [photo for photo in list_photos(project, {}) if photo.mask]
    if plate and photos:
        visit.studio.previews.warm()
    return visit.page(
        "insert.html", plates=plates, plate=plate, photos=photos,
        start=plate and _start(project, plate, visit.value("from", "")),
        has_place=bool(plate and place_file(project, plate.name).is_file()),
    )  # fmt: skip


@view("/p/{project}/insert/results")
def results(visit: Visit) -> Response:
    """The insertions, newest first, with their checks."""
    return visit.page("_insertions.html", results=_results(visit.here))


@view("/p/{project}/insert/preview", "POST")
def preview(visit: Visit) -> Response:
    """A small picture of the insertion, at once; nothing if the page has asked for another since."""
    plate = plate_named(visit.here, visit.value("plate"))
    made = visit.studio.previews.make(
        visit.here.root,
        plate,
        page=visit.value("page", ""),
        settings=_settings(visit),
        **_place(visit),
    )
    if made is None:
        return Response(status_code=204)
    return Response(
        made.jpeg, media_type="image/jpeg", headers={"X-Preview": json.dumps(made.told)}
    )


@view("/p/{project}/insert", "POST")
def start(visit: Visit) -> Response:
    """Queue the insertion in full."""
    plate = plate_named(visit.here, visit.value("plate"))
    name = free_name(visit.here.insertions_folder, plate.stem, _queued(visit))
    options = [f"--{option}={visit.value(key, '')}" for key, option in _SETTINGS.items()]
    options = [option for option in options if not option.endswith("=")]
    place = [f"--{key}={value}" for key, value in _place(visit).items() if value]
    visit.studio.queue.add(
        visit.here, "insert", "insert", str(plate), f"--name={name}", *place, *options
    )
    return visit.notice("insert.queued")


async def receive(request: Request, visit: Visit) -> Response:
    """Take a plate, and go to it."""
    batch = open_batch(
        visit.studio.workspace, visit.studio.limits, visit.project_id, request.path_params["batch"]
    )
    file = await batch.receive(request, request.headers.get("x-file-name", ""))

    def kept() -> Path:
        try:
            return add_plate(visit.here, file)
        finally:
            pathnames.remove_tree(batch.folder, below=batch.folder.parent)

    plate = await run_in_threadpool(kept)
    return Response(status_code=204, headers={"X-Plate": json.dumps(plate.name)})


async def receive_place(request: Request, visit: Visit) -> Response:
    """Keep the place that was painted on a plate: a PNG, white where the product goes."""
    body, name = bytearray(), str(request.path_params["plate"])
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_MASK_BYTES:
            raise ImageRejectedError(name, "its mask is too large a file")

    def kept() -> Path:
        drawn = read_picture(Path(name), data=bytes(body)).image.convert("L")
        return draw_place(visit.here, name, drawn)

    await run_in_threadpool(kept)
    return visit.notice("insert.place_saved", then="place-drawn")


@view("/p/{project}/insert/plates/{plate}/remove", "POST")
def remove_plate(visit: Visit) -> Response:
    """Take a plate out."""
    name = str(visit.request.path_params["plate"])
    remove_plates(visit.here, [name])
    undo = f"/p/{visit.project_id}/insert/plates/{quote(name)}/restore"
    return visit.notice("insert.plate_removed", undo=undo, then="plates-changed", name=name)


@view("/p/{project}/insert/plates/{plate}/restore", "POST")
def restore_plate(visit: Visit) -> Response:
    """Put a plate back, and go to it."""
    name = str(visit.request.path_params["plate"])
    restore_plates(visit.here, [name])
    return visit.go(f"/p/{visit.project_id}/insert?plate={quote(name)}")


@view("/p/{project}/insert/results/{name}/remove", "POST")
def remove(visit: Visit) -> Response:
    """Take an insertion out."""
    name = str(visit.request.path_params["name"])
    remove_insertions(visit.here, [name])
    undo = f"/p/{visit.project_id}/insert/results/{quote(name)}/restore"
    return visit.notice("insert.removed", undo=undo, then="results-changed", name=name)


@view("/p/{project}/insert/results/{name}/restore", "POST")
def restore(visit: Visit) -> Response:
    """Put an insertion back."""
    name = str(visit.request.path_params["name"])
    restore_insertions(visit.here, [name])
    return visit.notice("insert.restored", then="results-changed", name=name)


def _queued(visit: Visit) -> set[str]:
    """The names of the insertions that are still to be made."""
    jobs = (job for job in visit.studio.queue.jobs(visit.project_id) if not job.is_over)
    words = (word for job in jobs for word in job.arguments if word.startswith("--name="))
    return {word.removeprefix("--name=") for word in words}


def key_of(check: CheckRecord) -> str:
    """A check's name as a key of the texts: `check.KEY`."""
    return check.name.replace(" ", "_")


def _place(visit: Visit) -> dict[str, Any]:
    """Where the product goes: the painted place, or the box."""
    if visit.value("by", "box") == "mask":
        mask = place_file(visit.here, visit.value("plate"))
        if not mask.is_file():
            raise PackshotError(visit.t("insert.no_place"))
        return {"mask": mask}
    return {"box": visit.value("box")}


def _settings(visit: Visit) -> dict[str, Any]:
    return {key: value for key in _SETTINGS if (value := visit.value(key, ""))}


def _start(project: Project, plate: Path, file: str) -> Start:
    read = load_background(plate)
    width, height = read.width, read.height
    for record in reversed(_newest_last(project)):
        if file in ("", record.file) and _plate_of(project, record) == plate.name:
            box = record.box
            place = box["left"], box["top"], box["width"], box["height"]
            if not file:
                return Start(width, height, place)
            light = record.light if record.light.get("confidence") == 1 else {}  # as it was given
            azimuth, elevation, hardness = (
                _number(light.get(key))
                for key in ("azimuth_degrees", "elevation_degrees", "hardness")
            )
            # What was a guess would count as known: it is guessed anew.
            is_known = record.camera.get("horizon_confidence", 1) == 1
            horizon = _number(record.horizon) if is_known else ""
            return Start(
                width, height, place, horizon, azimuth, elevation, hardness, record.photo
            )  # fmt: skip
    middle = round(0.3 * width), round(0.5 * height), round(0.4 * width), round(0.38 * height)
    return Start(width, height, middle)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.0f}"


def _results(project: Project) -> list[Result]:
    newest = reversed(_newest_last(project))
    return [Result(record, _plate_of(project, record)) for record in newest]


def _newest_last(project: Project) -> list[InsertionRecord]:
    folder = project.insertions_folder
    records = read_records(folder)
    return sorted(records, key=lambda record: (folder / record.file).stat().st_mtime)


def _plate_of(project: Project, record: InsertionRecord) -> str:
    """The name of an insertion's plate in the project, if it is there unchanged; no other file is read."""
    file = record.background_file
    if file is None or file.parent != project.plates_folder.resolve():
        return ""
    return file.name if record.background_as_it_was() else ""


def _insertions(project: Project) -> Iterable[Path]:
    folder = project.insertions_folder
    return [folder / record.file for record in read_records(folder)]


def _places(project: Project) -> Iterable[Path]:
    masks = (place_file(project, plate.name) for plate in list_plates(project))
    return [mask for mask in masks if mask.is_file()]


SOURCES |= {"plate": list_plates, "insertion": _insertions, "place": _places}
ROUTES: list[Route] = [
    show, results, preview, start,
    receiver("/p/{project}/insert/batch/{batch}", receive),
    receiver("/p/{project}/insert/plates/{plate}/place", receive_place),
    remove_plate, restore_plate, remove, restore,
]  # fmt: skip
