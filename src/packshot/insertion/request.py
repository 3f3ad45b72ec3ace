"""What the command `packshot insert` asks for, and its answer: one plate or many, or suggestions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from packshot.errors import InsertionRefused
from packshot.insertion import cutouts
from packshot.insertion.background import Plate, read_plate
from packshot.insertion.batch import Job, mark_done, pending_jobs, read_jobs
from packshot.insertion.insert import Insertion, horizon_for, insert
from packshot.insertion.placement import (
    EYE_METRES,
    Placement,
    at_words,
    in_box,
    in_mask,
    on_quad,
    suggest,
)
from packshot.insertion.settings import InsertionSettings
from packshot.photos.photo_set import photos
from packshot.project import Project
from packshot.utils import files
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from packshot.lora import Lora
    from packshot.models.diffusion_model import Base, ClipSimilarity

_SHEET_PIXELS = 1280


@dataclass(frozen=True)
class Place:
    """Where the product shall go, as it was given: exactly one of box, quad, mask and words."""

    box: str | None = None
    quad: str | None = None
    mask: Path | None = None
    at: str | None = None
    tall_metres: float = 1.5
    eye_metres: float = EYE_METRES

    def on(self, plate: Plate, project: Project, settings: InsertionSettings) -> Placement:
        """The placement on a plate.

        Raises:
            InsertionRefused: none or several were given, or it does not fit the plate.
        """
        if sum(given is not None for given in (self.box, self.quad, self.mask, self.at)) != 1:
            raise InsertionRefused(
                "Say where it goes: --box x,y,w,h, or --quad with four corners, or --mask FILE, or "
                '--at "left, near"; --suggest shows places.'
            )
        if self.box is not None:
            return in_box(plate, self.box)
        if self.mask is not None:
            return in_mask(plate, self.mask)
        horizon, aspect = _geometry(plate, project, settings)
        if self.quad is not None:
            return on_quad(plate, self.quad, aspect)
        words = self.at or ""
        return at_words(plate, words, aspect, horizon, self.tall_metres, self.eye_metres)


def insert_all(
    project: Project,
    plate: Path,
    place: Place,
    settings: InsertionSettings,
    count: int = 1,
    out: Path | None = None,
    base: Base | None = None,
    loras: Sequence[tuple[Lora, float]] = (),
    embedder: ClipSimilarity | None = None,
    progress: Progress = silent,
) -> Iterator[Insertion]:
    """Insert into one plate `count` times, or into each plate of a folder or table that is missing.

    Raises:
        InsertionRefused, PictureRefused: as `insert` and `read_plate`; what stood stays.
    """
    folder = out or project.insertions_folder
    if plate.suffix.lower() != ".csv" and not plate.is_dir():
        read = read_plate(plate)
        where = place.on(read, project, settings)
        for version in range(count):
            name = plate.stem if count == 1 else f"{plate.stem}-{version + 1}"
            other = settings.model_copy(update={"seed": settings.seed + version})
            yield insert(
                project, read, where, folder, name=name, base=base, loras=loras,
                embedder=embedder, settings=other, progress=progress,
            )  # fmt: skip
        return
    jobs = read_jobs(plate)
    lora_hashes = [(lora.sha256, weight) for lora, weight in loras]
    key = files.fingerprint([settings.model_dump(), str(place), lora_hashes])
    pending = pending_jobs(jobs, folder, key)
    for left, job in zip(range(len(pending), 0, -1), pending, strict=True):
        progress("plates", len(jobs) - left, len(jobs))
        own = settings.model_copy(update={"view": job.view or settings.view})
        read = read_plate(job.plate)
        where = _place_of(job, place).on(read, project, own)
        made = insert(
            project, read, where, folder, name=job.name, base=base, loras=loras,
            embedder=embedder, settings=own,
        )  # fmt: skip
        mark_done(job, folder, key)
        yield made
    progress("plates", len(jobs), len(jobs))


def _place_of(job: Job, otherwise: Place) -> Place:
    """Where a job's row puts it; if it says nothing, where the command line does."""
    if not (job.box or job.quad or job.mask or job.at):
        return otherwise
    return replace(
        otherwise, box=job.box or None, quad=job.quad or None, mask=job.mask, at=job.at or None
    )


def show_places(
    project: Project, plate: Path, place: Place, settings: InsertionSettings, out: Path | None
) -> Path:
    """Write a picture of the plate with the places where the product could go, best first.

    Raises:
        InsertionRefused: there is no room for it on the ground.
    """
    read = read_plate(plate)
    horizon, aspect = _geometry(read, project, settings)
    found = suggest(read, aspect, horizon, place.tall_metres, place.eye_metres)
    if not found:
        raise InsertionRefused(f"{plate.name} shows no ground to stand on; give a box with --box.")
    small, scale = read.whole(_SHEET_PIXELS)
    shown = Image.fromarray((small * 255).round().astype(np.uint8))
    draw = ImageDraw.Draw(shown)
    draw.line((0, horizon * scale, shown.width, horizon * scale), fill="#ffffff")
    for number, (words, placement) in enumerate(found, start=1):
        box = placement.box
        corners = [side * scale for side in (box.left, box.top, box.right, box.bottom)]
        draw.rectangle(corners, outline="#ffcc00", width=3)
        text = f'{number}: --at "{words}"  --box {box.left},{box.top},{box.width},{box.height}'
        draw.text((corners[0] + 6, corners[3] - 18), text, fill="#ffcc00")
    file = (out or project.insertions_folder) / f"{plate.stem}.places.png"
    files.write_image(file, shown)
    return file


def _geometry(plate: Plate, project: Project, settings: InsertionSettings) -> tuple[float, float]:
    """The plate's horizon, and the product's width over its height."""
    whole = Placement(plate.all)
    aspect = cutouts.best_photos(photos(project), whole, settings.view)[0].aspect
    return horizon_for(plate, whole, settings), aspect
