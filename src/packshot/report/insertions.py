"""The report's part about insertions: before and after, the light, the photo used, the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from packshot.insertion.record import SHEET_ENDING, CheckRecord, InsertionRecord, read_records
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.report.pictures import link, thumbnail

PIXELS = 960
_SIDES = (
    "the right", "behind on the right", "behind", "behind on the left",
    "the left", "the camera's left", "the camera", "the camera's right",
)  # fmt: skip
"""Where light comes from, every 45 degrees from 0 on; see `Light`."""
_SURE = 0.5
"""Confidence below which the light was not seen but assumed."""


def insertions(project: Project) -> list[dict[str, Any]]:
    """What the template shows of each of the project's insertions."""
    photos = {photo.file.name: photo.file for photo in list_photos(project)}
    records = read_records(project.insertions_folder)
    return [_shown(project, record, photos.get(record.photo)) for record in records]


def _shown(project: Project, record: InsertionRecord, photo: Path | None) -> dict[str, Any]:
    root, file = project.root, project.insertions_folder / record.file
    before = record.background_as_it_was()
    page = file.with_name(file.stem + SHEET_ENDING)
    return {
        "after": thumbnail(root, file, f"{project.subject.name} in {record.background}", PIXELS),
        "before": before and thumbnail(None, before, f"{record.background} before", PIXELS),
        "background": record.background,
        "sheet": link(root, page) if page.is_file() else "",
        "photo": photo and thumbnail(root, photo, f"cut out of {record.photo}"),
        "light": light_in_words(record.light),
        "notes": record.notes,
        "verdict": _verdict(record),
        "checks": [(check, _limits(check)) for check in record.checks],
    }


def light_in_words(light: dict[str, Any]) -> str:
    """A `Light` as one reads it: where it comes from, how high, how hard."""
    try:
        azimuth, elevation = light["azimuth_degrees"], light["elevation_degrees"]
        hardness, confidence = light["hardness"], light["confidence"]
        side = _SIDES[round(azimuth / 45) % 8]
        kind = "hard" if hardness > 2 / 3 else "soft" if hardness < 1 / 3 else "veiled"
        told = f"{kind}, from {side}, {elevation:.0f} degrees high"
    except (KeyError, TypeError):
        return ""
    if confidence >= 1:
        return f"{told} (given)"
    return f"{told} ({'seen' if confidence >= _SURE else 'assumed: it is not clear'})"


def _verdict(record: InsertionRecord) -> str:
    missed = [check.name for check in record.missed]
    return f"Does not hold: {', '.join(missed)}." if missed else "All checks hold."


def _limits(check: CheckRecord) -> str:
    low, high = check.limits
    told = [f"at least {low:.3g}"] if low else []
    told += [f"at most {high:.3g}"] if high is not None and high < 100 else []
    return " and ".join(told)
