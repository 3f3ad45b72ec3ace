"""The whole path, photos to report: one command that keeps what it has decided and done."""

from __future__ import annotations

import re
from pathlib import Path

from packshot.errors import PackshotError
from packshot.project import Choices, Project, open_or_create_project
from packshot.utils import files
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
    """Photos in, LoRA, shots and report out.

    Whatever it decides or makes is kept: killed at any moment and called again in the same words, it
    goes on and ends with the same files; called once more, it does nothing. Other words redo what
    depends on them, and are kept in packshot.toml.

    Args:
        source: photos of one product: a folder, a ZIP, a video.
        root: the project folder; by default one beside you, named after the product.
        name: the product's name; the source's, if not given.
        class_noun: what kind of thing it is; needed for a new project.
        trigger: the token that means the product; "ohwx", if not given.
        choices: those that are set are written down, and hold from now on.
        contact: an e-mail address or URL for the sites that are asked; not written down.
        openverse_token: for more requests a day; not written down.
        finish: end with what a training that was cut short has learnt.
        observer: is told what happens, and asked before anything is fetched.

    Raises:
        PackshotError: any step's own errors.
    """
    observer = observer or RunObserver()
    if not files.exists(source):
        raise PackshotError(f"There is no {source}. Name a folder with photos of your product.")
    choices = choices or Choices()
    if choices.blur:
        from packshot.photos.anonymize import detectors

        detectors(choices.blur)  # what cannot be blurred is told before photos are taken
    called = name or source.resolve().stem.replace("_", " ")
    root = root or Path(re.sub(r"[^a-z0-9]+", "-", called.lower()).strip("-") or "product")
    if not Project(root).settings_file.exists():
        name = called
    project, changed = open_or_create_project(
        root, choices, name=name, class_noun=class_noun, trigger=trigger
    )
    for words in changed:
        observer.say(f"changed: {words}")
    if all_stands(project, source):
        return RunResult(project, {}, None, project.report_file, was_complete=True)
    from packshot.workflow.steps import Walk  # loads PyTorch

    outcome = Walk(project, observer, contact, openverse_token).to_the_end(source, finish)
    if not outcome.stopped:
        write_receipt(project, source)
    return outcome
