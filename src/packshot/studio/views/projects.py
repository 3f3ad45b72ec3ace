"""Projects: the list of a folder's projects, a new one, and the sample product for a first visit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

import packshot
from packshot.errors import PackshotError
from packshot.project import Project
from packshot.studio.pages import Visit, view
from packshot.studio.views.catalogue import overviews
from packshot.studio.views.steps import photo_names

_HERE = Path(packshot.__file__)
_SAMPLES = (
    _HERE.with_name("studio") / "sample",  # in an installed package
    _HERE.parents[2] / "examples" / "torvane_ridge",  # in a clone
)
_PLATES = _HERE.with_name("studio") / "sample_plates", _HERE.parents[2] / "examples" / "plates"


@dataclass(frozen=True)
class Card:
    """What the list shows of a project; `fault` is set if it cannot be opened."""

    id: str
    name: str
    class_noun: str = ""
    photos: int = 0
    cover: str = ""
    steps_done: tuple[str, ...] = ()
    fault: str = ""


@view("/")
def show(visit: Visit) -> Response:
    """The list, or for a first visit what Packshot is for, and the sample."""
    workspace = visit.studio.workspace
    cards = [_card(visit, id, root) for id, root in workspace.projects().items()]
    return visit.page(
        "projects.html", cards=cards, catalogues=overviews(visit),
        has_sample=sample_folder() is not None,
    )  # fmt: skip


@view("/projects", "POST")
def create(visit: Visit) -> Response:
    """Make a project, and go on to its photos."""
    noun = visit.value("class_noun").strip()
    name = visit.value("name").strip() or noun.capitalize()
    project = visit.studio.workspace.create(
        name, noun, visit.value("trigger", "").strip() or "ohwx"
    )
    return visit.go(f"/p/{visit.studio.workspace.id_of(project.root)}/photos")


@view("/projects/sample", "POST")
def create_sample(visit: Visit) -> Response:
    """Make the sample's project, and take in its photos."""
    workspace, folder = visit.studio.workspace, sample_folder()
    if folder is None:
        raise PackshotError("The sample product is not installed.")
    project = workspace.create("Torvane Ridge", "suv")
    visit.studio.queue.add(project, "photos", "photos", str(folder), heavy=False)
    workspace.set_toured(workspace.id_of(project.root), True)
    return visit.go(f"/p/{workspace.id_of(project.root)}/photos")


@view("/p/{project}/steps/{here}")
def steps(visit: Visit) -> Response:
    """The list of a project's steps, of which one is where the page is."""
    return visit.page("_steps.html", here=visit.request.path_params["here"])


def sample_folder() -> Path | None:
    """The photos of the sample product; None where they are not installed."""
    return next((folder for folder in _SAMPLES if folder.is_dir()), None)


def sample_plates() -> list[Path]:
    """Photos of places for the sample product; empty where they are not installed."""
    return next((sorted(one.glob("*.jpg")) for one in _PLATES if one.is_dir()), [])


def _card(visit: Visit, id: str, root: Path) -> Card:
    project = Project(root)
    try:
        subject, photos = project.subject, photo_names(project)
        done = tuple(step.name for step in visit.studio.steps if step.is_done(project))
    except (PackshotError, OSError) as error:
        return Card(id, root.name, fault=str(error))
    cover = photos[0] if photos else ""
    return Card(id, subject.name, subject.class_noun, len(photos), cover, done)


ROUTES = [show, create, create_sample, steps]
