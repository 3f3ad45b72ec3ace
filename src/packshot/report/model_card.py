"""The LoRA's card: README.md beside it, as the hub and people read it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from packshot.class_images import list_class_images
from packshot.generation.metrics import read_scores
from packshot.judging.candidate import chosen_candidate
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.utils import overwriting

# Of weights that are known: the hub's short name of the licence, and what it asks for, in a sentence.
# By the start of a repository's name; the longest that fits counts.
_LICENCES = {
    "pocket": ("apache-2.0", ""),
    "stable-diffusion-v1-5/": ("creativeml-openrail-m", "Its use restrictions must be passed on."),
    "sd2-community/": ("openrail++", "Its use restrictions must be passed on."),
    "stabilityai/stable-diffusion-2": ("openrail++", "Its use restrictions must be passed on."),
    "stabilityai/stable-diffusion-xl": ("openrail++", "Its use restrictions must be passed on."),
    "stabilityai/stable-diffusion-3": (
        "stabilityai-ai-community",
        "Free below a yearly revenue of 1 million US dollars; above that an enterprise licence.",
    ),
    "black-forest-labs/FLUX.1-dev": (
        "flux-1-dev-non-commercial-license",
        "**Not for commercial use** of the model and of what is derived from it, such as this LoRA.",
    ),
    "black-forest-labs/FLUX.1-schnell": ("apache-2.0", ""),
    "black-forest-labs/FLUX.2-klein-base-4B": ("apache-2.0", ""),
    "black-forest-labs/FLUX.2-klein-4B": ("apache-2.0", ""),
    "black-forest-labs/FLUX.2": ("flux-non-commercial-license", "**Not for commercial use.**"),
    "Qwen/Qwen-Image": ("apache-2.0", ""),
    "Tongyi-MAI/Z-Image": ("apache-2.0", ""),
}
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def write_model_card(project: Project) -> Path:
    """Write `lora/README.md`: what the LoRA has learnt from, on which base, and how it is used.

    Raises:
        OverwriteError: the user has put another file of that name there.
    """
    card = project.lora_folder / "README.md"
    overwriting.write_result(card, model_card(project).encode("utf-8", "replace"))
    return card


def licence_of(base: str) -> tuple[str, str]:
    """The hub's short name of a base's licence, and what it asks for; empty if they are not known."""
    starts = [start for start in _LICENCES if base == start or base.startswith(start)]
    return _LICENCES[max(starts, key=len)] if starts else ("", "")


def model_card(project: Project) -> str:
    """The card: YAML as the hub reads it, then Markdown."""
    subject, base = project.subject, project.settings.base
    name, asks = licence_of(base)
    is_on_hub = bool(_REPOSITORY.fullmatch(base))
    shown = base if is_on_hub or base == "pocket" else Path(base).name
    header = ["---", "tags: [lora, text-to-image, packshot]"]
    if is_on_hub:
        header.append(f"base_model: {json.dumps(base)}")
    header += [
        f"license: {name or 'other'}",
        f"instance_prompt: {json.dumps(subject.phrase, ensure_ascii=False)}",
        "---",
    ]
    parts = [
        "\n".join(header),
        f"# {_plain(subject.name)}",
        f"A LoRA of one product, for {_plain(shown)}. In prompts: `{_plain(subject.phrase)}`.",
        _origin(project),
        _use(project),
        "## What it has learnt from",
        _photos(project),
        _class_images(project),
        "## Licence",
        f"The base is under {name}. {asks}".strip()
        if name
        else "The base's licence is not known to Packshot: read it where the base comes from.",
        "A LoRA is commonly taken to be a derivative of its base, so assume that the base's terms hold for "
        "it too. This is not legal advice.",
    ]
    if scores := read_scores(project):
        parts += ["## Measured", _table(("score", "value", "what it is"), [
            (score.name, f"{score.value:.3f}", f"{score.meaning} ({score.embedder})") for score in scores
        ])]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(project: Project) -> str:
    """Which LoRA of its training it is, if it is not just the end."""
    told = chosen_candidate(project)
    if told is None or told[1:] == (None, 1.0):
        return ""
    _, step, weight = told
    which = "the end of its training" if step is None else f"step {step} of its training"
    return f"It is {which} at weight {weight:g}. The weight is folded in: use it at 1."


def _use(project: Project) -> str:
    kohya, diffusers = project.lora_file, project.diffusers_lora_file
    return (
        "## How it is used\n\n"
        f"- ComfyUI: `{kohya.name}` into `models/loras`, a *Load LoRA* node after the checkpoint.\n"
        f"- AUTOMATIC1111, Forge: the same file into `models/Lora`, `<lora:{kohya.stem}:1>` in the prompt.\n"
        f'- diffusers: `pipe.load_lora_weights("FOLDER", weight_name="{diffusers.name}")`.'
    )


def _photos(project: Project) -> str:
    photos = list_photos(project)
    stated = project.settings.rights.photos
    said = (
        f"Rights to them, as stated: {_plain(stated)}." if stated else "Rights to them: not stated."
    )
    rows = [(photo.file.name, photo.sha256) for photo in photos]
    listed = _table(("photo", "SHA-256"), rows)
    return f"{len(photos)} photos of the product. {said}\n\n{listed}"


def _class_images(project: Project) -> str:
    images = list_class_images(project)
    if not images:
        return "No class images."
    by = Counter(image.licence for image in images)
    listed = _table(("licence", "class images"), [(name, f"{n:,}") for name, n in by.most_common()])
    named = project.class_images_attribution.relative_to(project.root).as_posix()
    return f"{len(images):,} class images; authors and sources: `{named}`.\n\n{listed}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_plain, line)) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text that is no Markdown and no HTML, on one line."""
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", " ".join(text.split()))
