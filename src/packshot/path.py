"""The whole path, photos to report: each step once, in order."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packshot import files
from packshot.bases import Base
from packshot.blur import blur_photos, detectors
from packshot.captions import caption_photos, load_captioner
from packshot.class_images import gather_class_images
from packshot.errors import PackshotError
from packshot.judge import judge_project
from packshot.lora import load_lora
from packshot.photos import add_photos, photos
from packshot.plan import Plan, make_plan
from packshot.plan.calibration import seconds_per_shot
from packshot.plan.fitting import load_for
from packshot.progress import Progress, silent
from packshot.project import Project, new
from packshot.prompts import class_prompts, default_prompts
from packshot.report import write_report
from packshot.shots import ShotSettings, shoot, write_sheet
from packshot.terms import StorageWanted
from packshot.training import Event, Stopped, train

CLASS_IMAGES = 100
"""How many class images the base makes when no time limit asks for fewer."""
CLASS_IMAGES_TIME_SHARE = 0.1


@dataclass(frozen=True)
class Outcome:
    """What the whole path leaves. `stopped` is true when training was asked to stop on the way."""

    project: Project
    refused: dict[str, str]
    plan: Plan
    report_file: Path | None
    stopped: bool = False


def run(
    source: Path,
    *,
    class_noun: str,
    name: str | None = None,
    trigger: str = "ohwx",
    base: str = "pocket",
    storage: StorageWanted = "auto",
    root: Path | None = None,
    budget_seconds: float | None = None,
    prompts: Sequence[str] | None = None,
    class_folder: Path | None = None,
    class_count: int | None = None,
    seeds: Sequence[int] = (0, 1),
    seed: int = 0,
    blur: Sequence[str] = (),
    captioner: str | None = None,
    progress: Progress = silent,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_event: Callable[[Event], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Photos in, LoRA, shots and report out. Run again, it redoes only what changed.

    Args:
        source: folder of photos of one product.
        name: the product's name; the photo folder's, if not given.
        root: the project folder; by default one beside you, named after the product.
        budget_seconds: time for everything; None plans the whole recipe.
        prompts: what to shoot, with `{subject}` for the product; by default what suits the class.
        class_folder: class images from here instead of from the base.
        blur: what to blur in the photos; see `packshot.blur`.
        captioner: the model that captions, a folder or OWNER/NAME of the hub; by default the base's.

    Raises:
        PackshotError: any step's own errors.
    """
    started = time.monotonic()
    name = name or source.resolve().name.replace("_", " ")
    root = root or Path(re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "product")
    if not files.exists(source):
        raise PackshotError(f"There is no {source}. Name a folder with photos of your product.")
    detectors(blur)  # what cannot be blurred is told before photos are taken
    project = new(
        root,
        name=name,
        class_noun=class_noun,
        trigger=trigger,
        base=base,
        storage=storage,
        seed=seed,
    )
    refused = add_photos(project, source, progress).refused
    if blur:
        blur_photos(project, blur, progress=progress)
    if captioner and not all(photo.caption for photo in photos(project)):
        # Before the base is there: their memory is not needed at one time.
        other = load_captioner(model=captioner, progress=progress)
        caption_photos(project, progress=progress, captioner=other)
        del other
    model = load_for(project, progress=progress)
    caption_photos(project, model, progress)
    count = class_count or _affordable(model, budget_seconds)
    gather_class_images(project, model, count=count, folder=class_folder, progress=progress)
    wanted = list(prompts or default_prompts(project.subject))
    after = 2 * len(seeds) * (len(wanted) + len(class_prompts(class_noun)))
    left = None if budget_seconds is None else budget_seconds - (time.monotonic() - started)
    plan = plan_once(project, model, left, after)
    on_plan(plan)
    for event in train(project, model, should_stop=should_stop):
        on_event(event)
        if isinstance(event, Stopped):
            return Outcome(project, refused, plan, None, stopped=True)
    shoot_all(project, model, wanted, ShotSettings(seeds=tuple(seeds)), progress)
    return Outcome(project, refused, plan, write_report(project))


def plan_once(project: Project, base: Base, budget_seconds: float | None, shots_after: int) -> Plan:
    """The project's plan if it still holds (a person may have edited it), else a new one."""
    from packshot.plan import read_plan
    from packshot.plan.depends import depends_now

    if project.plan_file.exists():
        plan = read_plan(project.plan_file)
        if not plan.depends.differences(depends_now(project, base)):
            return plan
    return make_plan(project, base, budget_seconds=budget_seconds, shots_after=shots_after)


def shoot_all(
    project: Project,
    base: Base,
    prompts: Sequence[str],
    settings: ShotSettings,
    progress: Progress = silent,
) -> Path:
    """What the report compares: shots with the LoRA and without it, and pictures of the class alike.

    Writes their scores too, and a contact sheet of those with the LoRA, whose path it returns.
    """
    learnt = load_lora(project.lora_file, base)
    subject = project.subject
    drift_prompts = class_prompts(subject.class_noun)
    made = {}
    for kind, loras in (("with", [(learnt, 1.0)]), ("without", [])):
        for folder, asked in (
            (project.shots_folder / kind, prompts),
            (project.shots_folder / "drift" / kind, drift_prompts),
        ):
            shots = shoot(
                base,
                asked,
                loras=loras,
                settings=settings,
                folder=folder,
                subject=subject,
                progress=progress,
            )
            made[folder] = list(shots)
    judge_project(project, base)
    return write_sheet(made[project.shots_folder / "with"], project.shots_folder / "sheet.png")


def _affordable(base: Base, budget_seconds: float | None) -> int:
    if budget_seconds is None:
        return CLASS_IMAGES
    fit = int(CLASS_IMAGES_TIME_SHARE * budget_seconds / seconds_per_shot(base))
    return min(CLASS_IMAGES, max(8, fit))
