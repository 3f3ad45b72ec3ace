"""Scores as they are kept: read without what measures them."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from packshot.generation.generate import read_generated_images
from packshot.project import Project
from packshot.utils import hashing, pathnames, reading


@dataclass(frozen=True)
class Score:
    """A measured number, the name of the CLIP, and its meaning in words."""

    name: str
    value: float
    embedder: str
    higher_is_better: bool
    meaning: str
    values: tuple[float, ...] = ()
    """Of each picture, in their order; empty where only the mean was kept."""


_SCORES = TypeAdapter(list[Score])


def read_scores(project: Project) -> list[Score]:
    """The scores that were written; empty if there are none, or the file is damaged."""
    try:
        return _SCORES.validate_python(reading.read_json(project.scores_file))
    except ValidationError:
        return []


def has_current_images(project: Project) -> bool:
    """Whether the project's usual images, of which the scores are, were made with its LoRA as it is now."""
    folder = project.shots_folder / "with"
    if not (pathnames.is_file(project.lora_file) and folder.is_dir()):
        return False
    now = hashing.known_sha256(project.lora_file)
    made = read_generated_images(folder)
    return any(now in (digest for _, _, digest in one.loras) for one in made)
