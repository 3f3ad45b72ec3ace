"""What online sources offer, listed before any of it is fetched: class_images/offers.jsonl."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from pydantic import ValidationError

from packshot.class_images.online.candidate import Candidate
from packshot.project import Project
from packshot.utils import files, reading


def write_offers(project: Project, offers: Iterable[Candidate]) -> None:
    """Replace the project's list of offers."""
    lines = (offer.model_dump() for offer in offers)
    files.write_json_lines(project.class_images_offers_file, lines)


def read_offers(project: Project) -> list[Candidate]:
    """The offers that were listed last; a line that is none is skipped."""
    found = []
    for line in reading.read_json_lines(project.class_images_offers_file):
        with suppress(ValidationError):
            found.append(Candidate.model_validate(line))
    return found
