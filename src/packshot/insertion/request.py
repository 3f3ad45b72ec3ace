"""Requests of `packshot insert`: inserting into one background or many, or suggesting placements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from packshot.errors import DiskFullError, InsertionError, PackshotError, reason_of
from packshot.insertion import cutouts
from packshot.insertion.background import Background, Box, load_background
from packshot.insertion.batch import (
    InsertionJob,
    begin,
    mark_done,
    named_apart,
    pending_jobs,
    read_jobs,
)
from packshot.insertion.camera import Camera
from packshot.insertion.insert import Insertion, camera_for, insert
from packshot.insertion.occlusion import with_front
from packshot.insertion.placement import (
    MIDDLE,
    Placement,
    at_words,
    in_box,
    in_mask,
    on_quad,
    suggest,
)
from packshot.insertion.plate_camera import PlateCamera
from packshot.insertion.record import is_of_another
from packshot.insertion.scale import Scale, scale_of
from packshot.insertion.settings import InsertionSettings
from packshot.insertion.viewpoint import Viewpoint
from packshot.insertion.viewpoint_checks import horizon_notes
from packshot.photos.photo_set import list_photos, require_photos
from packshot.project import Project
from packshot.types import SEEDS
from packshot.utils import hashing, overwriting, pathnames, serialization
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from packshot.lora import Lora
    from packshot.models.diffusion_model import DiffusionModel
    from packshot.models.embedder import ClipSimilarity

_SHEET_PIXELS = 1280


@dataclass(frozen=True)
class PlacementRequest:
    """Where the product shall go, as the user wrote it: exactly one of box, quad, mask and at.

    What says how large it is there may be missing: see `scale_of`.
    """

    box: str | None = None
    quad: str | None = None
    mask: Path | None = None
    at: str | None = None
    behind: str | None = None
    """A mask of what stands before the product, or "auto"."""
    product_height_metres: float | None = None
    camera_height_metres: float | None = None
    known: str | None = None

    def resolve(
        self, background: Background, project: Project, settings: InsertionSettings
    ) -> Placement:
        """Resolve the request on a background.

        Raises:
            InsertionError: none or several were given, or it does not fit the background.
        """
        if sum(given is not None for given in (self.box, self.quad, self.mask, self.at)) != 1:
            raise InsertionError(
                "Say where it goes: --box x,y,w,h, or --quad with four corners, or --mask FILE, or "
                '--at "left, near"; --suggest shows places.'
            )
        if self.at is None:
            placed = self._by_outline(background, project, settings)
            return replace(placed, notes=(*placed.notes, *self._unused()))
        plate, scale, aspect = self.geometry(background, project, settings)
        placed = at_words(background, self.at, aspect, plate.camera, scale.relative)
        return replace(placed, notes=(*scale.notes, *placed.notes))

    def _by_outline(
        self, background: Background, project: Project, settings: InsertionSettings
    ) -> Placement:
        """Where a box, a quad or a mask says, which also say how large it is."""
        if self.box is not None:
            return in_box(background, self.box)
        if self.mask is not None:
            return in_mask(background, self.mask)
        plate = camera_for(background, Placement(background.all), settings)
        aspect = _aspect(background, project, settings, plate)
        return on_quad(background, self.quad or "", aspect)

    def _unused(self) -> tuple[str, ...]:
        """What was said of the size beside an outline."""
        sizes = {
            "--tall": self.product_height_metres,
            "--known": self.known,
            "--camera-height": self.camera_height_metres,
        }
        given = [name for name, value in sizes.items() if value is not None]
        if not given:
            return ()
        are = "is" if len(given) == 1 else "are"
        return (f"{', '.join(given)} {are} of --at alone: the outline says how large it is here.",)

    def geometry(
        self, background: Background, project: Project, settings: InsertionSettings
    ) -> tuple[PlateCamera, Scale, float]:
        """The background's camera, the scale, and the product's width divided by its height.

        Raises:
            InsertionError: as `scale_of`, or no photo shows the product.
        """
        plate = camera_for(background, Placement(background.all), settings)
        scale = scale_of(
            plate, project.subject.class_noun,
            self.product_height_metres, self.camera_height_metres, self.known,
        )  # fmt: skip
        return plate, scale, _aspect(background, project, settings, plate)


@dataclass(frozen=True)
class Tools:
    """The models that insertions need: what `insert` takes under these names."""

    base: DiffusionModel | None = None
    loras: Sequence[tuple[Lora, float]] = ()
    embedder: ClipSimilarity | None = None


def insert_all(
    project: Project,
    background: Path,
    place: PlacementRequest,
    settings: InsertionSettings,
    count: int = 1,
    out: Path | None = None,
    base: DiffusionModel | None = None,
    loras: Sequence[tuple[Lora, float]] = (),
    embedder: ClipSimilarity | None = None,
    progress: Progress = silent,
    refused: dict[str, str] | None = None,
    name: str | None = None,
) -> Iterator[Insertion]:
    """Insert into one background `count` times, or into each pending background of a folder or table.

    Of several backgrounds, one that nothing can be inserted into does not keep the others from it.

    Args:
        refused: of several, receives the names of those that were not made, with the reasons.
        name: of one background, what to call the results, such as "beach"; None for its own name. Another
            insertion into it, of another name, stays.

    Raises:
        InsertionError, ImageRejectedError: as `insert` and `load_background`; of several, only where
            none was made, there are none, or something was asked that is of one. Earlier results stay.
    """
    folder, tools = out or project.insertions_folder, Tools(base, loras, embedder)
    if _is_many(background):
        if count > 1 or name is not None:
            raise InsertionError(
                "--count and --name are of one background. Into each of many one picture is made; what it "
                "is called a table says in its column name."
            )
        refused = {} if refused is None else refused
        yield from _into_many(
            project, background, place, settings, folder, tools, progress, refused
        )
    else:
        names = _called(name, folder, background, count)
        yield from _into_one(project, background, place, settings, folder, tools, progress, names)


def _is_many(background: Path) -> bool:
    """Whether it is a table or a folder of backgrounds."""
    return background.suffix.lower() == ".csv" or background.is_dir()


def _into_one(
    project: Project, background: Path, place: PlacementRequest, settings: InsertionSettings,
    folder: Path, tools: Tools, progress: Progress, names: Sequence[str],
) -> Iterator[Insertion]:  # fmt: skip
    """A version of each name, from the seeds that follow each other."""
    read = load_background(background)
    where = with_front(place.resolve(read, project, settings), read, place.behind)
    for number, name in enumerate(names):
        own = settings.model_copy(update={"seed": (settings.seed + number) % SEEDS})
        yield insert(
            project, read, where, folder, name=name, settings=own, progress=progress, **vars(tools)
        )


def _into_many(
    project: Project, table: Path, place: PlacementRequest, settings: InsertionSettings,
    folder: Path, tools: Tools, progress: Progress, refused: dict[str, str],
) -> Iterator[Insertion]:  # fmt: skip
    """Each background of a folder or table that has no result yet, or one that is out of date."""
    jobs = named_apart(read_jobs(table), folder)
    if not jobs:
        raise InsertionError(
            f"There are no backgrounds in {table}: a folder must have photos in it, a table rows."
        )
    key = _inputs(project, place, settings, tools)
    pending = pending_jobs(jobs, folder, key)
    for left, job in zip(range(len(pending), 0, -1), pending, strict=True):
        progress("backgrounds", len(jobs) - left, len(jobs))
        try:
            insertion = _of_job(project, job, place, settings, folder, tools)
            mark_done(job, folder, key)
        except DiskFullError:  # so it is for all
            raise
        except Exception as error:  # nothing that one background does may cost the others
            refused[job.name] = _reason(error, folder / f"{job.name}.png")
            continue
        yield insertion
    progress("backgrounds", len(jobs), len(jobs))
    if jobs and len(refused) == len(jobs):
        lines = "".join(f"\n  {name}: {reason}" for name, reason in list(refused.items())[:20])
        raise InsertionError(f"Nothing was inserted into any of {table}:{lines}")


def _of_job(
    project: Project, job: InsertionJob, place: PlacementRequest, settings: InsertionSettings,
    folder: Path, tools: Tools,
) -> Insertion:  # fmt: skip
    """A row's insertion, by what it says and else by the command line.

    Raises:
        InsertionError: it makes no sense, or as `insert`.
    """
    if job.fault:
        raise InsertionError(job.fault)
    begin(job, folder)
    own = settings.model_copy(
        update={
            "view": job.view or settings.view,
            "photo": job.photo or settings.photo,
            "horizon": settings.horizon if job.horizon is None else job.horizon,
        }
    )
    read, wanted = load_background(job.background), _place_of(job, place)
    where = with_front(wanted.resolve(read, project, own), read, wanted.behind)
    return insert(project, read, where, folder, name=job.name, settings=own, **vars(tools))


def _called(name: str | None, folder: Path, background: Path, count: int) -> list[str]:
    """What the versions are called.

    Raises:
        InsertionError: results cannot have that name.
    """
    if name is not None and (Path(name).name != name or not name.strip(". ")):
        raise InsertionError(f"Results cannot be called {name!r}: give a plain name with --name.")
    return _numbered(name, count) if name else _names(folder, background, count)


def _names(folder: Path, background: Path, count: int) -> list[str]:
    """The names of the versions: the background's, numbered where another's results have them."""
    stems = (f"{background.stem}-{number}" for number in itertools.count(2))
    for stem in itertools.chain((background.stem,), stems):
        names = _numbered(stem, count)
        if not any(is_of_another(folder, name, background) for name in names):
            break
    return names


def _numbered(stem: str, count: int) -> list[str]:
    return [stem] if count == 1 else [f"{stem}-{number + 1}" for number in range(count)]


def _inputs(
    project: Project, place: PlacementRequest, settings: InsertionSettings, tools: Tools
) -> str:
    """A fingerprint of all that every result of a batch depends on; files by their content."""
    photos = [
        (photo.sha256, photo.mask and hashing.sha256(photo.mask), photo.caption)
        for photo in list_photos(project)
    ]
    mask, front = (
        path and pathnames.is_file(Path(path)) and hashing.sha256(Path(path))
        for path in (place.mask, place.behind)
    )
    base, embedder, marking = tools.base, tools.embedder, project.marking
    marks = marking.is_on, marking.has_watermark, marking.rights.model_dump()
    model = base and (
        base.content_hash, str(base.dtype), base.weight_storage, asdict(base.sampler)
    )  # fmt: skip
    return hashing.fingerprint(
        [
            version("packshot"), project.subject.model_dump(), project.settings.segmenter, photos, marks,
            settings.model_dump(), asdict(replace(place, mask=None)), mask, front,
            model,
            [(lora.sha256, weight) for lora, weight in tools.loras], embedder and embedder.name,
        ]
    )  # fmt: skip


def _reason(error: Exception, file: Path) -> str:
    if not isinstance(error, PackshotError | OSError | MemoryError):
        told = f"{reason_of(error)} (a bug in Packshot, please report it)"
    else:
        told = str(error) or reason_of(error)
    return f"{told} (its earlier result there is out of date)" if file.is_file() else told


def _place_of(job: InsertionJob, otherwise: PlacementRequest) -> PlacementRequest:
    """The placement and the scale of a job's row, else the command line's.

    The command line's scale is for rows without an outline.
    """
    if job.box or job.quad or job.mask:
        otherwise = replace(
            otherwise, product_height_metres=None, known=None, camera_height_metres=None
        )
    scaled = replace(
        otherwise,
        product_height_metres=(otherwise.product_height_metres if job.tall is None else job.tall),
        known=job.known or otherwise.known,
        camera_height_metres=None if job.known else otherwise.camera_height_metres,
        behind=job.behind or otherwise.behind,
    )
    if not (job.box or job.quad or job.mask or job.at):
        return scaled
    return replace(
        scaled, box=job.box or None, quad=job.quad or None, mask=job.mask, at=job.at or None
    )


def show_places(
    project: Project,
    background: Path,
    place: PlacementRequest,
    settings: InsertionSettings,
    out: Path | None,
) -> Path:
    """Write an image of the background with the suggested placements, numbered, best first.

    Raises:
        InsertionError: there is no room for the product on the ground, or it is a folder or table.
    """
    if _is_many(background):
        raise InsertionError(f"--suggest shows places in one background: name one of {background}.")
    read = load_background(background)
    plate, scale, aspect = place.geometry(read, project, settings)
    places = suggest(read, aspect, plate.camera, scale.relative)
    if not places:
        raise InsertionError(
            f"{background.name} shows no ground to stand on; give a box with --box."
        )
    small, shrunk = read.whole(_SHEET_PIXELS)
    image = Image.fromarray((small * 255).round().astype(np.uint8))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    _draw_horizon(draw, plate.camera, shrunk)
    for number, (words, placement) in enumerate(places, start=1):
        box = placement.box
        corners = [side * shrunk for side in (box.left, box.top, box.right, box.bottom)]
        draw.rectangle(corners, outline="#ffcc00", width=3)
        text = f'{number}: --at "{words}"  --box {box.left},{box.top},{box.width},{box.height}'
        draw.text((corners[0] + 6, corners[3] - 20), text, fill="#ffcc00", font=font)
    notes = "\n".join((*horizon_notes(plate), *scale.notes))
    draw.text((6, 6), notes, fill="#ffffff", font=font, stroke_width=2, stroke_fill="#000000")
    name = f"{pathnames.shortened(background.stem, 200)}.places.png"
    file = (out or project.insertions_folder) / name
    overwriting.write_result(file, serialization.image_bytes(file.suffix, image))
    return file


def _draw_horizon(draw: ImageDraw.ImageDraw, camera: Camera, scale: float) -> None:
    rise = math.tan(camera.roll) * camera.width / 2
    ends = (0, camera.horizon - rise, camera.width, camera.horizon + rise)
    draw.line([end * scale for end in ends], fill="#ffffff")


def _aspect(
    background: Background, project: Project, settings: InsertionSettings, plate: PlateCamera
) -> float:
    """The product's width divided by its height, in the photo that fits the middle of the ground best."""
    middle = Box(0, 0, background.width, round(plate.camera.ground_row(MIDDLE)))
    seen = Viewpoint.at(plate, middle)
    fit = cutouts.best_photos(
        cutouts.chosen(require_photos(project), settings.photo), Placement(background.all), settings.view,
        seen=seen, noun=project.subject.class_noun,
    )  # fmt: skip
    return fit[0].aspect
