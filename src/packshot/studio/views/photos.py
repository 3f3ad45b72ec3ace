"""Photos: dropping them in, what was refused and why, what is missing; captions; masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from packshot.captions.edit import (
    edit_captions,
    lock_captions,
    replace_in_captions,
    unlock_captions,
)
from packshot.errors import ImageRejectedError
from packshot.images.loading import read_picture
from packshot.images.masks import read_drawn
from packshot.images.refusals import read_refusals
from packshot.images.sidecars import find_beside
from packshot.masks.drawing import draw_mask
from packshot.photos.guide import photo_guide, views_of
from packshot.photos.photo_set import Photo, list_photos
from packshot.photos.removal import remove_photos, restore_photos
from packshot.studio.pages import Visit, patiently, receiver, view
from packshot.studio.uploads import UploadError, open_batch, sources_of
from packshot.studio.views.steps import Step, photo_names
from packshot.utils.hashing import sha256

JOBS = ("photos", "caption", "masks")
MAX_MASK_BYTES = 8 * 2**20
STEP = Step("photos", lambda project: bool(photo_names(project)))


@dataclass(frozen=True)
class Arc:
    """A direction of the ring: how many photos show the product from there."""

    name: str
    angle: int
    """Degrees clockwise from the front, which is at the bottom."""
    count: int


@view("/p/{project}/photos")
def show(visit: Visit) -> Response:
    """The page."""
    return visit.page("photos.html", has_photos=bool(photo_names(visit.here)))


@view("/p/{project}/photos/list")
def listed(visit: Visit) -> Response:
    """The photos with captions and masks, and those that were refused."""
    broken: dict[str, str] = {}
    photos = list_photos(visit.here, broken)
    refused = read_refusals(visit.here.refused_file)
    return visit.page("_photos.html", photos=photos, broken=broken, refused=refused)


@view("/p/{project}/photos/guide")
def guide(visit: Visit) -> Response:
    """What the photos lack, and the ring of views."""
    photos = list_photos(visit.here, {})
    advice = photo_guide(visit.here, visit.t.language) if photos else []
    return visit.page("_guide.html", advice=advice, arcs=ring(photos), count=len(photos))


@view("/p/{project}/photos/arrivals")
def arrivals(visit: Visit) -> Response:
    """What has been taken in and refused so far, while photos come in."""
    job = visit.studio.queue.current(visit.project_id, "photos")
    names = photo_names(visit.here) if job else []
    is_looking = job is not None and job.what == "photos"  # before, they are an earlier job's
    refused = read_refusals(visit.here.refused_file) if is_looking else {}
    return visit.page("_arrivals.html", job=job, names=names, refused=refused)


async def receive(request: Request, visit: Visit) -> Response:
    """Take one file of a batch."""
    batch = open_batch(
        visit.studio.workspace, visit.studio.limits, visit.project_id, request.path_params["batch"]
    )
    await batch.receive(request, request.headers.get("x-file-name", ""))
    return Response(status_code=204)


@view("/p/{project}/photos/batch/{batch}/take", "POST")
def take(visit: Visit) -> Response:
    """Queue the taking in of a batch that has arrived."""
    batch = open_batch(
        visit.studio.workspace, visit.studio.limits, visit.project_id,
        visit.request.path_params["batch"],
    )  # fmt: skip
    sources = [str(source) for source in sources_of(batch)]
    if not sources:
        raise UploadError("There are no photos, videos or ZIPs in it.")
    visit.studio.queue.add(
        visit.here, "photos", "photos", *sources, heavy=False, scratch=batch.folder
    )
    return Response(status_code=204)


@view("/p/{project}/photos/caption", "POST")
def caption(visit: Visit) -> Response:
    """Queue the captioning of photos without captions."""
    visit.studio.queue.add(visit.here, "caption", "caption")
    return visit.notice("photos.captions_queued")


@view("/p/{project}/photos/mask", "POST")
def mask(visit: Visit) -> Response:
    """Queue the masking of photos without masks."""
    visit.studio.queue.add(visit.here, "masks", "masks")
    return visit.notice("photos.masks_queued")


@view("/p/{project}/photos/{photo}/caption", "POST")
def write_caption(visit: Visit) -> Response:
    """Keep an edited caption."""
    name = _name(visit)
    before, wanted = visit.value("before", ""), visit.value("caption")
    project = visit.here
    photo = _photo(visit, name)
    now = photo.caption or ""
    if now not in (before, wanted):
        anyway = urlencode({"caption": wanted, "before": now})
        at = f"/p/{visit.project_id}/photos/{quote(name)}/caption"
        return visit.refuse("photos.changed_elsewhere", anyway=f"{at}?{anyway}", name=name, now=now)
    edited = edit_captions(project, {name: wanted})
    if not edited.changed:
        return Response(status_code=204)
    undo = ""
    if before:
        undo = _undo_captions(visit, [photo], then=_changed(name))
    key = "photos.caption_lacks_trigger" if edited.notes else "photos.caption_saved"
    trigger = visit.here.subject.trigger
    return visit.notice(key, undo=undo, then=_changed(name), name=name, trigger=trigger)


@view("/p/{project}/photos/{photo}/lock", "POST")
def lock(visit: Visit) -> Response:
    """Lock a caption, or unlock it."""
    name = _name(visit)
    change = lock_captions if visit.value("locked", "") else unlock_captions
    change(visit.here, [name])
    visit.tell_others(_changed(name))
    return _card(visit, name)


@view("/p/{project}/photos/replace", "POST")
def replace(visit: Visit) -> Response:
    """Find and replace in all captions that are not locked."""
    project, old, new = visit.here, visit.value("old"), visit.value("new", "")
    before = {photo.file.name: photo for photo in list_photos(project)}
    edited = replace_in_captions(project, [(old, new)], regex=bool(visit.value("regex", "")))
    if not edited.changed:
        return visit.notice("photos.replaced_none", old=old)
    former = [before[photo.file.name] for photo in edited.changed]
    undo = _undo_captions(visit, former, then="photos-changed")
    return visit.notice("photos.replaced", n=len(former), undo=undo, then="photos-changed")


@view("/p/{project}/photos/{photo}/remove", "POST")
def remove(visit: Visit) -> Response:
    """Take a photo out."""
    name = _name(visit)
    remove_photos(visit.here, [name])
    undo = f"/p/{visit.project_id}/photos/{name}/restore"
    return visit.notice("photos.removed", undo=undo, then="photos-changed", name=name)


@view("/p/{project}/photos/{photo}/restore", "POST")
def restore(visit: Visit) -> Response:
    """Put a photo back."""
    name = visit.request.path_params["photo"]
    restore_photos(visit.here, [name])
    return visit.notice("photos.restored", then="photos-changed", name=name)


@view("/p/{project}/photos/{photo}/card")
def card(visit: Visit) -> Response:
    """One photo anew."""
    return _card(visit, _name(visit))


async def receive_mask(request: Request, visit: Visit) -> Response:
    """Keep a mask that was drawn: a PNG, white on the product."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_MASK_BYTES:
            raise ImageRejectedError(request.path_params["photo"], "its mask is too large a file")
    return await run_in_threadpool(patiently, visit, lambda: _drawn(visit, bytes(body)))


def _drawn(visit: Visit, data: bytes) -> Response:
    name = _name(visit)
    project, stem = visit.here, Path(name).stem

    def now() -> str:
        file = find_beside(project.masks_folder, stem, ".png")
        return sha256(file) if file else ""

    former = find_beside(project.masks_folder, stem, ".png")
    before = read_drawn(former).image if former else None
    draw_mask(project, name, read_picture(Path(name), data=data).image.convert("L"))
    undo = visit.studio.undo.add(lambda: draw_mask(project, name, before), now, then=_changed(name))
    return visit.notice("photos.mask_saved", undo=undo, then=_changed(name), name=name)


def ring(photos: list[Photo]) -> list[Arc]:
    """From where the photos show the product: eight directions, left and right taken together."""
    counts: Counter[str] = Counter()
    for photo in photos:
        views = views_of(photo)
        ends = views & {"front", "rear"}
        if "three_quarter" in views:
            counts.update(f"{end}_three_quarter" for end in ends or {"front"})
        else:
            counts.update(views)
    at = {
        "front": (0,), "front_three_quarter": (45, 315), "side": (90, 270),
        "rear_three_quarter": (135, 225), "rear": (180,),
    }  # fmt: skip
    arcs = [Arc(name, angle, counts[name]) for name, angles in at.items() for angle in angles]
    return sorted(arcs, key=lambda arc: arc.angle)


def _undo_captions(visit: Visit, before: Sequence[Photo], then: str) -> str:
    """The address that has photos' captions, and whose they are, as they were."""
    project = visit.here
    captions = {photo.file.name: photo.caption for photo in before if photo.caption}
    by = {photo.file.name: photo.caption_by for photo in before if photo.caption_by}

    def now() -> dict[str, str | None]:
        names = {photo.file.name for photo in before}
        return {p.file.name: p.caption for p in list_photos(project) if p.file.name in names}

    return visit.studio.undo.add(lambda: edit_captions(project, captions, by), now, then)


def _card(visit: Visit, name: str) -> Response:
    photo = _photo(visit, name)
    return visit.page("_photo.html", photo=photo)


def _photo(visit: Visit, name: str) -> Photo:
    broken: dict[str, str] = {}
    for photo in list_photos(visit.here, broken):
        if photo.file.name == name:
            return photo
    raise ImageRejectedError(name, broken.get(name, "is no photo of this project"))


def _name(visit: Visit) -> str:
    """The photo of the address, which must be one of the project's."""
    name = str(visit.request.path_params["photo"])
    if name not in photo_names(visit.here):
        raise ImageRejectedError(name, "is no photo of this project")
    return name


def _changed(name: str) -> str:
    """The event that one card listens to."""
    return f"photo-{name.replace('.', '-')}"


ROUTES: list[Route] = [
    show, listed, guide, arrivals, take, caption, mask, replace,
    receiver("/p/{project}/photos/batch/{batch}/file", receive),
    receiver("/p/{project}/photos/{photo}/mask", receive_mask),
    write_caption, lock, remove, restore, card,
]  # fmt: skip
