"""Prompts: from a file, or defaults for the class."""

from __future__ import annotations

from pathlib import Path

from packshot.errors import PackshotError
from packshot.project import Subject

VEHICLES = {
    "car",
    "suv",
    "hatchback",
    "sedan",
    "pickup",
    "van",
    "sports car",
    "truck",
    "motorcycle",
    "bicycle",
}
_OUTDOORS = (
    "a photo of {subject} on a beach, side view",
    "a photo of {subject} in the desert, front three-quarter view",
    "a photo of {subject} in a forest",
    "a photo of {subject} in the snow, side view",
    "a photo of {subject} in the mountains, front three-quarter view",
    "a photo of {subject} on a beach at sunset",
    "a photo of {subject} in a city street at night",
    "a photo of {subject} in a studio, rear three-quarter view",
)
_ANYWHERE = (
    "a photo of {subject} on a beach",
    "a photo of {subject} in the snow",
    "a photo of {subject} in a forest",
    "a photo of {subject} in a city street",
    "a photo of {subject} in the mountains",
    "a photo of {subject} on a table",
    "a photo of {subject} in the desert at sunset",
    "a photo of {subject} in a studio",
)


def default_prompts(subject: Subject) -> list[str]:
    """Eight prompts for a subject of this class, with the placeholder `{subject}`."""
    return list(_OUTDOORS if subject.class_noun.lower() in VEHICLES else _ANYWHERE)


def class_prompts(class_noun: str) -> list[str]:
    """Prompts for other things of the class, to measure class drift."""
    return [
        f"a photo of a blue {class_noun} in the mountains",
        f"a photo of a white {class_noun} in the desert",
        f"a photo of a black {class_noun} in a studio",
        f"a photo of a yellow {class_noun} on a beach",
    ]


def read_prompts(path: Path) -> list[str]:
    """Read one prompt per line; blank lines and those that start with # are skipped.

    Raises:
        PackshotError: the file is missing, is not text, or contains no prompt.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PackshotError(f"{path} cannot be read as text: {error}.") from error
    prompts = [line.strip() for line in text.splitlines()]
    prompts = [line for line in prompts if line and not line.startswith("#")]
    if not prompts:
        raise PackshotError(f"{path} holds no prompts; write one a line, with {{subject}} in it.")
    return prompts
