"""`run`: all steps from photos to report, resumable."""

from __future__ import annotations

import re
from pathlib import Path

from packshot.errors import PackshotError
from packshot.project import Project, open_or_create_project
from packshot.settings import Choices
from packshot.utils import pathnames
from packshot.workflow.observer import RunObserver
from packshot.workflow.receipt import all_stands, write_receipt
from packshot.workflow.result import RunResult


def run(
    source: Path,
    *,
    root: Path | None = None,
    name: str | None = None,
    class_noun: str | None = None,
    trigger: str | None = None,
    choices: Choices | None = None,
    contact: str | None = None,
    openverse_token: str | None = None,
    finish: bool = False,
    observer: RunObserver | None = None,
) -> RunResult:
    """Run all steps: from photos to the LoRA, images and the report.

    All decisions and results are kept: killed at any moment and called again with the same
    arguments, it resumes and ends with the same files; called once more, it does nothing. Other
    arguments redo what depends on them, and are saved in packshot.toml.

    Args:
        source: photos of one product: a folder, a ZIP, a video.
        root: the project folder; by default one in the current folder, named after the product.
        name: the product's name; by default the source's.
        class_noun: what kind of thing it is; needed for a new project.
        trigger: the token for the product; by default "ohwx".
        choices: the fields that are set are saved in packshot.toml.
        contact: an e-mail address or URL for the sites that are asked; not saved.
        openverse_token: for more requests a day; not saved.
        finish: end an interrupted training; its LoRA is that of its last saved state.
        observer: receives progress, and is asked before anything is downloaded.

    Raises:
        PackshotError: any step's own errors.
    """
    observer = observer or RunObserver()
    if not pathnames.exists(source):
        raise PackshotError(f"There is no {source}. Name a folder with photos of your product.")
    choices = choices or Choices()
    if choices.blur:
        from packshot.photos.anonymize import detectors

        detectors(choices.blur)  # raises before any photo is added
    product = name or _name_of(source.resolve())
    root = root or Path(re.sub(r"[^a-z0-9]+", "-", product.lower()).strip("-") or "product")
    if not Project(root).settings_file.exists():
        name = product
    project, changed = open_or_create_project(
        root, choices, name=name, class_noun=class_noun, trigger=trigger
    )
    for change in changed:
        observer.say(f"changed: {change}")
    if all_stands(project, source):
        return RunResult(project, {}, None, project.report_file, was_complete=True)
    from packshot.workflow.steps import Walk  # loads PyTorch

    result = Walk(project, observer, contact, openverse_token).to_the_end(source, finish)
    if result.stopped:
        return result
    if _is_planned_anew(result):
        observer.say(
            "plan.toml was changed while this run trained, by its own plan: the same command trains by "
            "the new one."
        )
    else:
        write_receipt(project, source)
    return result


def _is_planned_anew(result: RunResult) -> bool:
    """Whether plan.toml is no longer the plan that was trained by."""
    from packshot.plan.config import read_plan_if_valid

    now = read_plan_if_valid(result.project.plan_file)
    return bool(now and result.plan and now.fingerprint() != result.plan.fingerprint())


def _name_of(source: Path) -> str:
    """The product's name after a folder, or a file without its ending: "bottle_1.5l" has none."""
    return (source.name if source.is_dir() else source.stem).replace("_", " ")
