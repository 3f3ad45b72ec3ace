"""Where a picture comes from that says no more than its watermark."""

from __future__ import annotations

from pathlib import Path

from packshot.generation.generate import identifier_of, read_generated_images
from packshot.insertion.record import read_records
from packshot.project import Project


def record_of(project: Project, watermark: str) -> Path | None:
    """The JSON record of the shot or insertion whose pixels say this; None if the project has none."""
    for kind in ("", "with", "without", "drift/with", "drift/without"):
        for shot in read_generated_images(project.shots_folder / kind):
            if identifier_of(shot) == watermark:
                return shot.file.with_suffix(".json")
    for record in read_records(project.insertions_folder):
        if record.watermark == watermark:
            return (project.insertions_folder / record.file).with_suffix(".json")
    return None
