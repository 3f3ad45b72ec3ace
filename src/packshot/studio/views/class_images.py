"""Class images: made by the base, of a folder, or found online with licences and credits."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import chain, count, groupby
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from packshot.class_images import list_class_images
from packshot.class_images.online.candidate import Candidate
from packshot.class_images.online.licences import CODES, FREE
from packshot.class_images.online.offers import read_offers
from packshot.errors import ClassImagesError, PackshotError
from packshot.images.refusals import read_refusals
from packshot.project import Project
from packshot.studio.pages import Visit, receiver, view
from packshot.studio.uploads import BESIDE_ENDINGS, Batch, open_batch
from packshot.studio.views.pictures import SOURCES
from packshot.studio.views.steps import Step
from packshot.utils import hashing, pathnames

STEP = Step("class-images", lambda project: project.class_images_manifest.is_file())
ONLINE = ("openverse", "commons")
MOST_SHOWN = 60
COUNT = 100


@view("/p/{project}/class-images")
def show(visit: Visit) -> Response:
    """The page."""
    return visit.page(
        "class_images.html", settings=visit.here.settings, count=COUNT, codes=CODES, free=FREE,
        online=ONLINE,
    )  # fmt: skip


@view("/p/{project}/class-images/list")
def listed(visit: Visit) -> Response:
    """The class images with their credits, and what was left out."""
    images, fault = [], ""
    try:
        images = list_class_images(visit.here)
    except PackshotError as error:
        fault = str(error)
    refused = read_refusals(visit.here.class_images_refused_file)
    return visit.page(
        "_class_images.html", images=images[:MOST_SHOWN], total=len(images), fault=fault,
        refused=refused, is_picture=_is_here,
    )  # fmt: skip


@view("/p/{project}/class-images/offers")
def offers(visit: Visit) -> Response:
    """What the online sources offer, before any of it is fetched."""
    return visit.page("_offers.html", offers=_offered(visit.here))


@view("/p/{project}/class-images/base", "POST")
def from_base(visit: Visit) -> Response:
    """Queue having the base make them."""
    visit.studio.queue.add(
        visit.here, "class-images", "class-images", "--class-images", "base", *_count(visit)
    )
    return Response(status_code=204)


@view("/p/{project}/class-images/search", "POST")
def search(visit: Visit) -> Response:
    """Queue asking the online sources what they offer."""
    visit.studio.queue.add(
        visit.here, "offers", "class-images", "--offers", *_asked(visit), heavy=False
    )
    return Response(status_code=204)


@view("/p/{project}/class-images/fetch", "POST")
def fetch(visit: Visit) -> Response:
    """Queue the fetching of what was offered."""
    if not (listed := _offered(visit.here)):
        raise ClassImagesError("Search first, to see what is offered.")
    chosen = visit.here.settings
    words = ["--class-images", ",".join(chosen.class_images), "--class-count", str(len(listed))]
    if contact := visit.value("contact", "").strip():
        words.append(f"--contact={contact}")
    visit.studio.queue.add(visit.here, "class-images", "class-images", *words)
    return Response(status_code=204)


async def receive(request: Request, visit: Visit) -> Response:
    """Take one file of a batch."""
    await _batch(visit).receive(request, request.headers.get("x-file-name", ""))
    return Response(status_code=204)


@view("/p/{project}/class-images/batch/{batch}/take", "POST")
def take(visit: Visit) -> Response:
    """Queue the collecting of images that were dropped; they are kept in the project."""
    folder, batch = visit.here.given_class_images_folder, _batch(visit)
    move_flat(batch.folder, folder)
    shutil.rmtree(batch.folder, ignore_errors=True)
    count = sum(path.suffix.lower() not in BESIDE_ENDINGS for path in folder.iterdir())
    visit.studio.queue.add(
        visit.here, "class-images", "class-images", "--class-images", str(folder),
        "--class-count", str(max(1, count)), heavy=True,
    )  # fmt: skip
    return Response(status_code=204)


def move_flat(source: Path, target: Path) -> None:
    """Move the files of all levels into one folder, an image and what lies beside it under one name.

    Where another has that name, they get their folder's before it, or a number.
    """
    target.mkdir(exist_ok=True)
    found = (path for path in source.rglob("*") if path.is_file() and path.name[0] != ".")
    taken = {path.stem.lower() for path in target.iterdir()}
    for (folder, stem), group in groupby(sorted(found, key=_origin), _origin):
        files = list(group)
        longer = pathnames.shortened(f"{folder.name}-{stem}", 200) if folder != source else stem
        names = chain((stem, longer), (f"{longer}-{number}" for number in count(2)))
        name = next(
            one for one in names if one.lower() not in taken or _are_at(target / one, files)
        )
        taken.add(name.lower())
        for path in files:  # maybe to another drive
            shutil.move(path, pathnames.safe_join(target, name + path.suffix))


def _origin(path: Path) -> tuple[Path, str]:
    return path.parent, path.stem


def _are_at(place: Path, files: Sequence[Path]) -> bool:
    """Whether files stand there already, but for their endings: they were dropped before."""
    return all(hashing.is_same(path, place.with_name(place.name + path.suffix)) for path in files)


def _batch(visit: Visit) -> Batch:
    return open_batch(
        visit.studio.workspace, visit.studio.limits, visit.project_id,
        visit.request.path_params["batch"],
    )  # fmt: skip


def _offered(project: Project) -> list[Candidate]:
    """What was offered last; nothing once the base or a folder gives the images: these would be fetched."""
    sources = project.settings.class_images
    is_elsewhere = any(source == "base" or Path(source).is_dir() for source in sources)
    return [] if is_elsewhere else read_offers(project)


def _count(visit: Visit) -> list[str]:
    given = visit.value("count", "")
    if given and not (given.isascii() and given.isdecimal() and 0 < int(given) < 10_000):
        raise ClassImagesError(f"{given!r} is no number of images; write one from 1 to 9999.")
    return ["--class-count", given] if given else []


def _asked(visit: Visit) -> list[str]:
    """The options of a search, as the form has them."""
    sources = [name for name in ONLINE if name in visit.form.get("source", ())]
    licences = [code for code in CODES if code in visit.form.get("licence", ())]
    if not sources or not licences:
        raise ClassImagesError("Choose at least one place to search, and one licence.")
    words = [f"--class-images={','.join(sources)}", f"--class-licences={','.join(licences)}"]
    for option, name in (("--class-query", "query"), ("--contact", "contact")):
        if given := visit.value(name, "").strip():
            words.append(f"{option}={given}")
    return [*words, *_count(visit)]


def _is_here(project: Project, file: Path) -> bool:
    """Whether a picture lies in the project; one of a folder elsewhere is not shown."""
    return file.is_file() and file.resolve().is_relative_to(project.root.resolve())


def _class_image_files(project: Project) -> list[Path]:
    return [image.file for image in list_class_images(project) if _is_here(project, image.file)]


SOURCES["class-image"] = _class_image_files
ROUTES = [
    show, listed, offers, from_base, search, fetch, take,
    receiver("/p/{project}/class-images/batch/{batch}/file", receive),
]  # fmt: skip
