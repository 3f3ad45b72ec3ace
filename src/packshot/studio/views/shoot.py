"""Shoot: prompts by class, pictures with and without the LoRA, favourites, two side by side."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response

from packshot.errors import PackshotError
from packshot.generation.favourites import read_favourites, set_favourite
from packshot.generation.generate import GeneratedImage, pair_images, read_generated_images
from packshot.generation.prompts import default_prompts, without_subject
from packshot.images.encoding import is_picture
from packshot.insertion.plates import add_plate
from packshot.project import Project
from packshot.studio.pages import Visit, view
from packshot.studio.views.pictures import SOURCES, name_of
from packshot.studio.views.steps import Step
from packshot.utils import files, hashing

STEP = Step(
    "shoot",
    lambda project: any(map(is_picture, project.shots_folder.glob("**/*"))),
)
MOST_PROMPTS = 64


@dataclass(frozen=True)
class Shot:
    """A picture with the LoRA, and the same without it, if there is one. Names are their addresses'."""

    image: GeneratedImage
    name: str
    plain: str
    is_favourite: bool


@view("/p/{project}/shoot")
def show(visit: Visit) -> Response:
    """The page."""
    project = visit.here
    prompts = [*project.settings.prompts, *default_prompts(project.subject)]
    return visit.page(
        "shoot.html", prompts=list(dict.fromkeys(prompts)), has_lora=project.lora_file.is_file()
    )


@view("/p/{project}/shoot/list")
def listed(visit: Visit) -> Response:
    """The pictures, newest first; `?only=favourites` for these alone."""
    shots = list_shots(visit.here)
    only = visit.value("only", "") == "favourites"
    shown = [shot for shot in shots if shot.is_favourite] if only else shots
    return visit.page("_shots.html", shots=shown, count=len(shots), only=only)


@view("/p/{project}/shoot", "POST")
def start(visit: Visit) -> Response:
    """Queue pictures of the prompts that were chosen and written."""
    written = visit.value("own", "").splitlines()
    prompts = [line.strip() for line in [*visit.form.get("prompt", []), *written]]
    prompts = list(dict.fromkeys(line for line in prompts if line))[:MOST_PROMPTS]
    if not prompts:
        raise PackshotError(visit.t("shoot.no_prompt"))
    scratch = _scratch(visit, secrets.token_hex(8))
    _queue(visit, prompts, scratch, compare=bool(visit.value("compare", "")), options={
        "images-per-prompt": visit.value("count", "1"), "first-seed": visit.value("seed", "0"),
        "width": visit.value("width", ""), "height": visit.value("height", ""),
        "negative-prompt": visit.value("negative", "").strip(),
    })  # fmt: skip
    subject = visit.here.subject
    if unnamed := without_subject(subject, prompts):
        return visit.notice("shoot.queued_unnamed", n=len(unnamed), words=subject.phrase)
    return visit.notice("shoot.queued")


@view("/p/{project}/shoot/again", "POST")
def again(visit: Visit) -> Response:
    """Queue the same picture with the next seed that it is not made with, nor waits to be."""
    shot = _shot(visit)
    image = shot.image
    alike = [
        one.image.seed for one in list_shots(visit.here)
        if (one.image.prompt, one.image.negative_prompt) == (image.prompt, image.negative_prompt)
    ]  # fmt: skip
    of = [visit.project_id, image.prompt, image.negative_prompt]
    seed, scratch = next(
        (seed, folder) for seed in count(max(alike) + 1)
        if _is_made(folder := _scratch(visit, hashing.fingerprint([*of, seed])[:16]))
    )  # fmt: skip
    _queue(visit, [image.prompt], scratch, compare=bool(shot.plain), options={
        "first-seed": str(seed), "width": str(image.width), "height": str(image.height),
        "negative-prompt": image.negative_prompt,
    })  # fmt: skip
    return visit.notice("shoot.queued")


@view("/p/{project}/shoot/favourite", "POST")
def favourite(visit: Visit) -> Response:
    """Make a picture a favourite, or none."""
    shot = _shot(visit)
    set_favourite(visit.here, shot.image.file, not shot.is_favourite)
    visit.tell_others("shots-changed")
    return visit.page("_shot.html", shot=_shot(visit))


@view("/p/{project}/shoot/plate", "POST")
def to_plate(visit: Visit) -> Response:
    """Keep a picture as a plate, and go to it; `what=plain` is the one without the LoRA."""
    shot = _shot(visit)
    file = shot.image.file if visit.value("what", "") != "plain" else visit.here.root / shot.plain
    plate = add_plate(visit.here, file)
    return visit.go(f"/p/{visit.project_id}/insert?plate={quote(plate.name)}")


def list_shots(project: Project) -> list[Shot]:
    """The project's pictures with a LoRA, newest first."""
    folder = project.shots_folder
    made = [one for part in (folder, folder / "with") for one in _read(part) if one.loras]
    plain = {one.file: other.file for one, other in pair_images(made, _read(folder / "without"))}
    favourites = set(read_favourites(project))
    made.sort(key=lambda one: one.file.stat().st_mtime, reverse=True)
    return [
        Shot(
            one, name_of(project, one.file),
            name_of(project, plain[one.file]) if one.file in plain else "", one.file in favourites,
        )
        for one in made
    ]  # fmt: skip


def _read(folder: Path) -> list[GeneratedImage]:
    return read_generated_images(folder) if folder.is_dir() else []


def _shot(visit: Visit) -> Shot:
    name = visit.value("shot")
    for shot in list_shots(visit.here):
        if shot.name == name:
            return shot
    raise PackshotError(visit.t("shoot.gone"))


def _scratch(visit: Visit, name: str) -> Path:
    """A folder that is deleted when its job has ended."""
    return visit.studio.workspace.state_folder / "prompts" / name


def _is_made(folder: Path) -> bool:
    """Make a folder; False if it is there: a job is queued that has it."""
    try:
        folder.mkdir(parents=True)
        return True
    except FileExistsError:
        return False


def _queue(
    visit: Visit, prompts: list[str], scratch: Path, *, compare: bool, options: dict[str, str]
) -> None:
    """The prompts go in a file: one that begins with a hyphen would be taken for an option."""
    files.write_text(scratch / "prompts.txt", "\n".join(f" {prompt}" for prompt in prompts) + "\n")
    given = [f"--{name}={value}" for name, value in options.items() if value]
    visit.studio.queue.add(
        visit.here, "shoot", "shoot", f"--prompts-file={scratch / 'prompts.txt'}", *given,
        *(["--compare"] if compare else []), scratch=scratch,
    )  # fmt: skip


def _files(project: Project) -> Iterable[Path]:
    folder = project.shots_folder
    parts = folder, folder / "with", folder / "without"
    return [one.file for part in parts for one in _read(part)]


SOURCES["shot"] = _files
ROUTES = [show, listed, start, again, favourite, to_plate]
