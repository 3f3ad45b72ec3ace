"""The tour: at each view what to do, what has come of it, and where to go on. It can be left at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.responses import Response

from packshot.class_images import list_class_images
from packshot.errors import PackshotError
from packshot.generation.prompts import default_prompts
from packshot.insertion.plates import add_plate, list_plates
from packshot.insertion.record import read_records
from packshot.judging.candidate import list_candidates
from packshot.photos.photo_set import list_photos
from packshot.plan import read_choices
from packshot.studio.pages import Visit, view
from packshot.studio.views import deliver, projects, shoot
from packshot.studio.views.steps import photo_names


@dataclass(frozen=True)
class Stop:
    """Where the tour stands in a view.

    Attributes:
        key: of what is said, `tour.KEY` of the texts.
        label: of its button, a key of the texts; empty: there is nothing to press.
        post: what the button posts to, below the project's address.
        values: what it sends.
        form: or the id of the page's form that it sends.
        goes_on: whether there is nothing left to do here.
    """

    key: str
    label: str = ""
    post: str = ""
    values: dict[str, str] = field(default_factory=dict)
    form: str = ""
    goes_on: bool = False


@view("/p/{project}/tour/{here}")
def show(visit: Visit) -> Response:
    """The part of the page; nothing if it says what it said (`was`) already."""
    here = visit.request.path_params["here"]
    if here not in _STOPS:
        return Response(status_code=404)
    stop = stop_of(visit, here)
    if visit.value("was", "") == stop.key:
        return Response(status_code=204)
    names = [step.name for step in visit.studio.steps]
    return visit.page("_tour.html", stop=stop, here=here, number=names.index(here) + 1)


@view("/p/{project}/tour", "POST")
def begin(visit: Visit) -> Response:
    """Begin the tour, in whichever view."""
    visit.studio.workspace.set_toured(visit.project_id, True)
    return Response(status_code=204, headers={"HX-Refresh": "true"})


@view("/p/{project}/tour/leave", "POST")
def leave(visit: Visit) -> Response:
    """Leave the tour."""
    visit.studio.workspace.set_toured(visit.project_id, False)
    return Response(status_code=204, headers={"HX-Refresh": "true"})


@view("/p/{project}/tour/plate", "POST")
def take_plate(visit: Visit) -> Response:
    """Put the sample place among the project's plates."""
    plates = projects.sample_plates()
    if not plates:
        raise PackshotError(
            "The sample place is not installed. Drop a photo of a place of your own."
        )
    plate = add_plate(visit.here, plates[0])
    return visit.go(f"/p/{visit.project_id}/insert?plate={quote(plate.name)}")


def stop_of(visit: Visit, here: str) -> Stop:
    """Where the tour stands in a view, by what the project has and what the queue does."""
    kinds, stop = _STOPS[here]
    for kind in kinds:
        if visit.studio.queue.current(visit.project_id, kind):
            return Stop(f"{here}.{kind}")
    return stop(visit)


def _photos(visit: Visit) -> Stop:
    photos = list_photos(visit.here, {})
    if not photos:
        return Stop("photos.none")
    if not all(photo.caption for photo in photos):
        return Stop("photos.uncaptioned", "photos.write_captions", "photos/caption")
    if not all(photo.mask for photo in photos):
        # Where it was looked for in vain, looking again finds no more.
        goes_on = all(photo.mask or photo.missed_by for photo in photos)
        key = "photos.missed" if goes_on else "photos.uncut"
        return Stop(key, "photos.make_masks", "photos/mask", goes_on=goes_on)
    return Stop("photos.ready", goes_on=True)


def _class_images(visit: Visit) -> Stop:
    has_some = bool(list_class_images(visit.here))
    return Stop("class-images.ready" if has_some else "class-images.none", goes_on=True)


def _plan(visit: Visit) -> Stop:
    project = visit.here
    if project.plan_file.is_file():
        return Stop("plan.ready", goes_on=True)
    if not photo_names(project):
        return Stop("plan.no_photos")
    if read_choices(project.plan_choices_file) is None:
        return Stop("plan.unmeasured", "plan.measure", "plan/measure")
    return Stop("plan.measured", "tour.shortest", "plan", {"at": "0"})


def _train(visit: Visit) -> Stop:
    project = visit.here
    if project.lora_file.is_file():
        return Stop("train.ready", goes_on=True)
    if not project.plan_file.is_file():
        return Stop("train.no_plan")
    label = "train.resume" if project.runs() else "train.start"
    return Stop("train.paused" if project.runs() else "train.planned", label, "train")


def _choose(visit: Visit) -> Stop:
    found = list_candidates(visit.here)
    if not found:
        return Stop("choose.no_lora")
    if all(one.likeness is None for one in found):
        return Stop("choose.unmeasured", "choose.score", "choose/score", {"quick": "1"})
    return Stop("choose.ready", goes_on=True)


def _shoot(visit: Visit) -> Stop:
    project = visit.here
    if not project.lora_file.is_file():
        return Stop("shoot.no_lora")
    if not shoot.list_shots(project):
        first = default_prompts(project.subject)[0]
        values = {"prompt": first, "count": "2", "compare": "1"}
        return Stop("shoot.none", "shoot.start", "shoot", values)
    return Stop("shoot.ready", goes_on=True)


def _insert(visit: Visit) -> Stop:
    project = visit.here
    if not any(photo.mask for photo in list_photos(project, {})):
        return Stop("insert.uncut")
    if not list_plates(project):
        return Stop("insert.no_plate", "tour.take_plate", "tour/plate")
    if not read_records(project.insertions_folder):
        return Stop("insert.none", "insert.start", form="insertion")
    return Stop("insert.ready", goes_on=True)


def _deliver(visit: Visit) -> Stop:
    if deliver.archive_file(visit.here).is_file():
        return Stop("deliver.ready")
    return Stop("deliver.none", "deliver.start", form="delivery")


_STOPS: dict[str, tuple[tuple[str, ...], Callable[[Visit], Stop]]] = {
    "photos": (("photos", "caption", "masks"), _photos),
    "class-images": (("class-images", "offers"), _class_images),
    "plan": (("measure", "plan"), _plan),
    "train": (("train",), _train),
    "choose": (("candidates", "choose", "shoot"), _choose),
    "shoot": (("shoot",), _shoot),
    "insert": (("insert",), _insert),
    "deliver": (("deliver",), _deliver),
}
"""Of each view, the kinds of jobs that it waits for, and what it says when none of them is there."""
ROUTES = [show, begin, leave, take_plate]
