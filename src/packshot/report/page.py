"""The report: a whole project on one self-contained page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from packshot.errors import ImageRejectedError
from packshot.generation.generate import GeneratedImage, read_generated_images
from packshot.generation.metrics import images_with_and_without, read_scores
from packshot.images.contact_sheet import overview
from packshot.images.loading import open_image
from packshot.images.refusals import read_refusals
from packshot.photos.guide import photo_guide
from packshot.photos.photo_set import Photo, list_photos
from packshot.plan.config import Plan, read_plan_if_valid, read_reasons
from packshot.project import Project
from packshot.provenance.marking import COMPOSITE_WITH_MODEL, Claim
from packshot.report import loss_curve as curves
from packshot.report.insertions import insertions
from packshot.report.judgement import judgement
from packshot.report.notes import notes_on
from packshot.report.pictures import link, thumbnail
from packshot.training.events import Done, Evaluated, Event, Sample, log_of, read_events
from packshot.training.runs import current_run
from packshot.utils import files
from packshot.utils.durations import in_words

OVERVIEW_PIXELS = 1200


def write_report(project: Project, language: str = "en") -> Path:
    """Write `report.html` from the project folder; missing parts are left out.

    If there are shots, `overview.png` is written too. The photo guide in the report is in
    `language`, "en" or "it".

    The page works offline: it contains thumbnails, which link to the image files.
    """
    _write_overview(project)
    facts = _facts(project, language) | _script()
    files.write_text(project.report_file, rendered("report.html.jinja", facts))
    return project.report_file


def rendered(name: str, facts: Mapping[str, Any]) -> str:
    """Render a template of this package; all values are escaped."""
    import jinja2

    template = resources.files("packshot.report").joinpath(name).read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(facts)


def _script() -> dict[str, Any]:
    """The page's only script, and its hash, by which the page's policy lets it run."""
    text = resources.files("packshot.report").joinpath("compare.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"script": text, "script_hash": digest}


def _facts(project: Project, language: str) -> dict[str, Any]:
    root = project.root
    pairs = images_with_and_without(project, project.shots_folder)
    drift = images_with_and_without(project, project.shots_folder / "drift")
    return {
        "subject": project.subject,
        "base": project.settings.base,
        "overview": thumbnail(
            root, project.overview_file, "Above: photos. Below: shots.", OVERVIEW_PIXELS
        )
        if project.overview_file.is_file()
        else None,
        "more": [
            thumbnail(root, shot.file, shot.prompt)
            for shot in read_generated_images(project.shots_folder)
        ],
        "pairs": [_pair(root, *pair) for pair in pairs],
        "drift": [_pair(root, *pair) for pair in drift],
        "scores": read_scores(project),
        "judged": judgement(project),
        "notes": notes_on(project),
        "photos": [_photo(root, photo) for photo in list_photos(project)],
        "guide": photo_guide(project, language),
        "refused": read_refusals(project.refused_file),
        "run": _run(project),
        "files": _files(project),
        "insertions": insertions(project),
        "lora_name": project.lora_file.name,
        "lora_stem": project.lora_file.stem,
        "diffusers_name": project.diffusers_lora_file.name,
    }


def _write_overview(project: Project) -> None:
    shots: dict[str, GeneratedImage] = {}
    for shot, _ in images_with_and_without(project, project.shots_folder):
        shots.setdefault(shot.prompt, shot)
    references = _readable({photo.file.name: photo.file for photo in list_photos(project)})
    pictures = _readable({prompt: shot.file for prompt, shot in shots.items()})
    if pictures and references:
        page = overview(list(references.values()), list(pictures.values()), list(pictures))
        claim = Claim(project.overview_file.name, COMPOSITE_WITH_MODEL, {})
        files.write_bytes(project.overview_file, project.marking.as_file(page, claim))


def _readable(named: Mapping[str, Path]) -> dict[str, Image.Image]:
    """The images that can be read, by their names."""
    pictures = {}
    for name, file in named.items():
        with suppress(ImageRejectedError):  # its thumbnail says why
            pictures[name] = open_image(file)
    return pictures


def _photo(root: Path, photo: Photo) -> dict[str, Any]:
    return {
        "picture": thumbnail(root, photo.file, photo.caption or "no caption yet"),
        "mask": thumbnail(root, photo.mask, "mask") if photo.mask else None,
        "why": f"{photo.source}: {photo.why}",
        "blurred": [(blur.kind, blur.by, box) for blur in photo.blurred for box in blur.boxes],
    }


def _pair(root: Path, learnt: GeneratedImage, plain: GeneratedImage) -> dict[str, Any]:
    return {
        "prompt": learnt.prompt,
        "seed": learnt.seed,
        "with": thumbnail(root, learnt.file, f"with the LoRA: {learnt.prompt}"),
        "without": thumbnail(root, plain.file, f"without it: {plain.prompt}"),
    }


def _run(project: Project) -> dict[str, Any] | None:
    """The current run: its plan with reasons, time and memory, losses and samples."""
    folder = current_run(project)
    if folder is None:
        return None
    # None of a run of an earlier Packshot, whose numbers had other names.
    plan = read_plan_if_valid(folder / "plan.toml")
    events = read_events(folder)
    reasons = read_reasons(folder / "plan.toml") if plan else {}
    done = next((event for event in reversed(events) if isinstance(event, Done)), None)
    predicted = plan.estimate if plan else None
    return {
        "numbers": [
            (name, value, reasons.get(name, ""))
            for name, value in plan.model_dump(exclude={"estimate", "inputs"}).items()
        ]
        if plan
        else [],
        "predicted_time": in_words(predicted.seconds) if predicted else "",
        "predicted_memory": f"{predicted.bytes / 2**30:.2f} GiB" if predicted else "",
        "time": in_words(done.seconds) if done else None,
        "memory": f"{done.peak_bytes / 2**30:.2f} GiB" if done else None,
        "class_images_seen": predicted.class_images_seen if predicted else "",
        "curve": curves.loss_curve(events),
        "ended": _ended(events, plan, done),
        "samples": [
            {
                "step": event.step,
                "pictures": [
                    thumbnail(project.root, file, prompt)
                    for file, prompt in zip(event.files, event.prompts, strict=False)
                    if file.is_file()
                ],
            }
            for event in events
            if isinstance(event, Sample)
        ],
    }


def _ended(events: Sequence[Event], plan: Plan | None, done: Done | None) -> str:
    """When and why training ended before its plan's last step; "" if it did not."""
    if not (plan and done and done.step < plan.steps):
        return ""
    last = next((event for event in reversed(events) if isinstance(event, Evaluated)), None)
    if last and last.is_done and last.step == done.step and last.variance_share is not None:
        why = (
            f"its held-out loss had settled at {last.loss:.4f}: over the last "
            f"{plan.early_stopping_window} evaluations it varied by {last.variance_share:.0%} of what it "
            f"varied in all, less than {plan.early_stopping_variance:.0%}"
        )
    else:
        why = "it was ended by --finish"
    return f"Training ended at step {done.step} of {plan.steps}: {why}. packshot train --go-on goes on."


def _files(project: Project) -> list[tuple[str, str, str]]:
    """Links to the project's files: name, address, description."""
    run = current_run(project)
    listed = [
        (project.lora_file, "the LoRA, for AUTOMATIC1111, Forge, ComfyUI, InvokeAI"),
        (project.diffusers_lora_file, "the LoRA, for diffusers"),
        (
            project.lora_folder / "README.md",
            "the LoRA's card: what it learnt from, licences, how it is used",
        ),
        (project.plan_file, "the plan, to edit and train again"),
        (project.class_images_manifest, "the class images: where each came from"),
        *([(log_of(run), "the run's log")] if run else []),
    ]
    return [
        (str(file.relative_to(project.root)), link(project.root, file), what)
        for file, what in listed
        if file.is_file()
    ]
