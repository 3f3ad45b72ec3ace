"""Prompts: from a file, or defaults for the class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.errors import PackshotError
from packshot.images import sidecars
from packshot.settings import Subject

if TYPE_CHECKING:
    from packshot.models.diffusion_model import DiffusionModel

_SYNTAX = (
    (
        re.compile(r"<(?:lora|lyco):[^<>]+>", re.IGNORECASE),
        "no LoRA is loaded by a prompt here, and it is read as words; give the file: --lora FILE:WEIGHT",
    ),
    (
        re.compile(r"<hypernet:[^<>]+>", re.IGNORECASE),
        "hypernetworks are not used here, and it is read as words",
    ),
    (
        re.compile(r"\([^()]*:\s*\d*\.?\d+\s*\)|\(\((?:[^()]+)\)\)+|\[+[^\[\]:|]+\]+"),
        "words have no weights here, and the brackets are read as they stand; leave them out",
    ),
    (
        re.compile(r"\[[^\[\]]*[:|][^\[\]]*\]"),
        "a prompt is the same at every step here, and the brackets are read as they stand; leave "
        "them out",
    ),
    (
        re.compile(r"\b(?:BREAK|AND)\b"),
        "a prompt is not divided into parts here, and this is read as a word; leave it out",
    ),
    (
        re.compile(r"\{[^{}]*\|[^{}]*\}|(?<!\w)__[\w/*-]+__(?!\w)"),
        "nothing is chosen from it here, and it is read as it stands; write one prompt for each",
    ),
)
"""What AUTOMATIC1111's web interface and its extensions do with a prompt, and Packshot does not."""
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
        text = sidecars.decode(path.read_bytes())
    except OSError as error:
        raise PackshotError(f"{path} cannot be read as text: {error}.") from error
    if "\ufffd" in text:  # what is no character of the encoding
        raise PackshotError(f"{path} cannot be read as text: write it as UTF-8.")
    prompts = [line.strip() for line in text.splitlines()]
    prompts = [line for line in prompts if line and not line.startswith("#")]
    if not prompts:
        raise PackshotError(f"{path} holds no prompts; write one a line, with {{subject}} in it.")
    return prompts


def without_subject(subject: Subject, prompts: Sequence[str]) -> list[str]:
    """Those of the prompts that do not ask for the product: the trigger is not in them."""
    return [prompt for prompt in prompts if not subject.is_named_in(subject.fill(prompt))]


def notes_on(base: DiffusionModel, prompts: Sequence[str]) -> list[str]:
    """What a user should know of prompts before images are made from them.

    Which part the base does not read; and what is other programs' syntax, and only words here.
    """
    from packshot.models.prompt_length import read_part

    notes = [
        f"{base.name} reads {base.prompt_limit[1]} tokens of a prompt; this one only up to “…{read[-40:]}”"
        f": what follows is not used: “{prompt[len(read) :].strip()[:80]}”"
        for prompt in dict.fromkeys(prompts)
        if (read := read_part(base, prompt)) != prompt
    ]
    for pattern, advice in _SYNTAX:
        found = dict.fromkeys(match[0] for prompt in prompts for match in pattern.finditer(prompt))
        if found:
            notes.append(f"{', '.join(list(found)[:5])}: {advice}")
    return notes
