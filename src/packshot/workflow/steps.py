"""The steps of a whole run, in order, by the project's settings and decisions."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from packshot.captions import caption_photos
from packshot.captions.length import check_class_lengths, check_lengths
from packshot.captions.registry import captioner_of, settle_captioner
from packshot.captions.views import with_views
from packshot.class_images import collect_class_images, list_class_images
from packshot.class_images.online import download_class_images, plain_folder
from packshot.decisions import Decisions, Scalar, Value
from packshot.errors import ImageRejectedError, InsertionError
from packshot.generation.embedders import BASE, NONE, embedder_of, settle_embedder
from packshot.generation.generate import GenerationSettings, generate_images, write_sheet
from packshot.generation.metrics import score_project
from packshot.generation.prompts import class_prompts, default_prompts
from packshot.images.loading import open_image
from packshot.insertion import matting
from packshot.insertion.request import PlacementRequest, insert_all
from packshot.insertion.settings import InsertionSettings
from packshot.lora import load_lora
from packshot.masks import mask_photos
from packshot.masks.registry import segmenter_of, settle_segmenter
from packshot.models import (
    ClipSimilarity,
    DiffusionModel,
    best_device,
    find_checkpoint,
    has_clip,
)
from packshot.models.clip import embed_image_files
from packshot.models.precision import takes_half_files
from packshot.photos.anonymize import blur_photos
from packshot.photos.photo_set import Photo, add_photos, list_photos, too_small
from packshot.plan import (
    Asked,
    Budget,
    Plan,
    class_images_within,
    make_plan,
    plan_that_holds,
)
from packshot.plan.assistant import assistant_file, load_assistant
from packshot.plan.budget_fit import CLASS_IMAGES
from packshot.plan.calibration import threads_for
from packshot.plan.config import read_current_plan
from packshot.plan.inputs import current_inputs
from packshot.plan.load_base import load_project_base
from packshot.plan.notes import notes_on
from packshot.plan.recipes import recipe_of
from packshot.project import Project
from packshot.report import write_model_card, write_report
from packshot.training import Step, Stopped, train
from packshot.utils import hashing, overwriting
from packshot.utils.durations import in_words
from packshot.utils.progress import Observer
from packshot.weights.consent import require_consent
from packshot.weights.helper_models import label
from packshot.workflow.choosing import Choosing
from packshot.workflow.observer import RunObserver
from packshot.workflow.result import RunResult

_SILENT = Observer()


class Clock:
    """Measures the time since its creation, without pauses."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._begun, self._paused = now, now(), 0.0

    @property
    def seconds(self) -> float:
        return self._now() - self._begun - self._paused

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of the block (loading, downloading). Pauses may be nested."""
        begun, before = self._now(), self._paused
        try:
            yield
        finally:
            self._paused = before + self._now() - begun


class Walk:
    """One pass through all steps, for a project whose settings are saved."""

    def __init__(
        self,
        project: Project,
        observer: RunObserver,
        contact: str | None = None,
        openverse_token: str | None = None,
    ) -> None:
        self.project, self.observer, self.token = project, observer, openverse_token
        self.contact = contact or project.settings.contact
        self.settings, self.subject = project.settings, project.subject
        self.decisions = Decisions(project, observer.say)
        self.clock = Clock()
        self._base: DiffusionModel | None = None
        if threads := self.decisions.latest("threads"):
            # As before an interruption: sums over another number of threads differ in the last bit.
            torch.set_num_threads(int(str(threads.value)))

    def to_the_end(self, source: Path, finish: bool) -> RunResult:
        """Do every step once; `finish` ends an interrupted training."""
        read_current_plan(self.project.plan_file)  # an invalid plan is reported first of all
        require_consent(self.project, "base", "captioner", "segmenter", "embedder", "class_images")
        assistant_file(self.project)
        refused = add_photos(self.project, source, self.observer.progress, anew=False).refused
        self.observer.refused(refused)
        if self.settings.blur:
            blur_photos(self.project, self.settings.blur, progress=self.observer.progress)
        with self.clock.paused():
            half = takes_half_files(torch.device(best_device()))
            name = self.settings.base
            # One that is missing, a pickle or of no known family is told before anything else is done.
            find_checkpoint(name, half=half, progress=self.observer.progress)
            own_clip = has_clip(name)
            embedder = settle_embedder(
                self.settings.embedder, name, own_clip, self.decisions, self.observer
            )
            require_consent(self.project, embedder=embedder)
        self._caption(own_clip, embedder)
        self._mask()
        base = self.base
        self._tell_what_to_know(base)
        with self.clock.paused():
            judge = embedder_of(embedder, lambda: base, self.observer.progress)
            base.pipeline()  # imports what is needed for the first image
        if self.settings.plates != "none":
            with self.clock.paused():
                matting.prepare()
        insert_into_plates(self.project, judge, self.observer)
        choosing = Choosing(
            self.project, base, judge, self.decisions, self.observer, self.clock.paused
        )
        budget = self._budget(judge, choosing.settle_effort())
        self._gather(base, budget, None if embedder == BASE else judge)
        prompts = {image.file.name: image.prompt for image in list_class_images(self.project)}
        for note in check_class_lengths(prompts, base):
            self.observer.say(note)
        plan = self._plan(base, budget)
        self.observer.plan(plan)
        if self._train(base, plan, finish):
            return RunResult(self.project, refused, plan, None, stopped=True)
        choosing.choose(plan)
        shoot_all(self.project, base, self._prompts, self._shots, judge, self.observer)
        write_model_card(self.project)
        report = write_report(self.project)
        if self.settings.time_budget:
            took = in_words(self.clock.seconds)
            self.observer.say(f"took {took} of {self.settings.time_budget}, without loading models")
        return RunResult(self.project, refused, plan, report)

    @property
    def base(self) -> DiffusionModel:
        """The project's base, loaded at the first use."""
        if self._base is None:
            with self.clock.paused():
                self._base = load_project_base(
                    self.project, progress=self.observer.progress, decisions=self.decisions
                )
                threads_for(self._base, self.decisions)
        return self._base

    @property
    def _prompts(self) -> list[str]:
        return list(self.settings.prompts or default_prompts(self.subject))

    @property
    def _shots(self) -> GenerationSettings:
        settings = self.settings
        return GenerationSettings(
            seeds=tuple(range(settings.images_per_prompt)),
            format=settings.image_format,
            quality=settings.image_quality,
        )

    def _caption(self, own_clip: bool, embedder: str) -> None:
        """Caption photos that have no caption, or one by a captioner that is no longer chosen."""
        photos = list_photos(self.project)
        missing = [photo for photo in photos if photo.caption is None and not photo.caption_locked]
        if not missing and self.decisions.latest("captioner") is None:
            return
        with self.clock.paused():
            spec = settle_captioner(
                self.settings.captioner, self.settings.base, own_clip, self.decisions, self.observer
            )
            require_consent(self.project, captioner=spec)
        former = {label(str(photo)) for photo in self.decisions.others("captioner", spec)}
        if not missing and not any(photo.caption_by in former for photo in photos):
            return
        with self.clock.paused():
            # Before the base is loaded, unless it is the captioner: both may not fit the memory.
            captioner = captioner_of(spec, base=lambda: self.base, progress=self.observer.progress)
            if embedder not in (BASE, NONE):
                captioner = with_views(
                    captioner, embedder_of(embedder, lambda: self.base, self.observer.progress)
                )
        caption_photos(
            self.project, progress=self.observer.progress, captioner=captioner, instead_of=former
        )

    def _mask(self) -> None:
        """Mask photos that have no mask, or one by a segmenter that is no longer chosen."""
        if self.settings.segmenter == "none":
            return
        spec = settle_segmenter(self.settings.segmenter, self.decisions)
        require_consent(self.project, segmenter=spec)
        former = {label(str(photo)) for photo in self.decisions.others("segmenter", spec)}
        photos = list_photos(self.project)
        if not any(
            photo.masked_by in former or (photo.mask is None and photo.missed_by != label(spec))
            for photo in photos
        ):
            return
        with self.clock.paused():
            segmenter = segmenter_of(spec, self.observer.progress)
        masked = mask_photos(self.project, segmenter, self.observer.progress, instead_of=former)
        self.observer.masked(masked)

    def _tell_what_to_know(self, base: DiffusionModel) -> None:
        """Tell what of the base and the photos makes results worse, before anything is made of them."""
        assistant = load_assistant(self.project, base)  # one of another family is told first
        photos = list_photos(self.project)
        self._tell_small_photos(base)
        told = notes_on(base, photos, self.subject, has_assistant=bool(assistant))
        for note in (*told, *check_lengths(photos, self.subject, base)):
            self.observer.say(note)

    def _tell_small_photos(self, base: DiffusionModel) -> None:
        if small := too_small(list_photos(self.project), base.native_pixels):
            names = ", ".join(
                f"{photo.file.name} {photo.width} x {photo.height}" for photo in small[:5]
            )
            more = f" and {len(small) - 5} more" if len(small) > 5 else ""
            self.observer.say(
                f"smaller than the {base.native_pixels} px at which {base.name} is trained, so they are "
                f"enlarged, which blurs results: {names}{more}. Larger ones are better."
            )

    def _budget(self, judge: ClipSimilarity | None, choosing: float) -> Budget | None:
        """The time budget for all steps, including the time that has passed.

        Args:
            choosing: the seconds that it takes.
        """
        whole = self.settings.time_budget_seconds
        if whole is None:
            return None
        prompts = len(self._prompts) + len(class_prompts(self.subject.class_noun))
        shots = 2 * self.settings.images_per_prompt * prompts
        closing = closing_seconds(list_photos(self.project), shots, judge, self.decisions)
        return Budget(whole, lambda: whole - self.clock.seconds, shots, closing + choosing)

    def _gather(
        self, base: DiffusionModel, budget: Budget | None, clip: ClipSimilarity | None
    ) -> None:
        """Collect class images from the chosen sources, as many as chosen or as there is time for."""
        sources, count = self.settings.class_images, self.settings.class_count
        if sources == ("base",):
            count = self._class_count(base, budget)
            collect_class_images(self.project, base, count=count, progress=self.observer.progress)
            return
        if count is None:
            recipe = recipe_of(base, has_assistant=assistant_file(self.project) is not None)
            exposures = recipe.exposures_for(len(list_photos(self.project)))
            count = math.ceil(exposures * recipe.class_image_ratio / (1 - recipe.class_image_ratio))
        if folder := plain_folder(sources):
            collect_class_images(
                self.project, base, count=count, folder=folder, progress=self.observer.progress
            )
            return
        with self.clock.paused():  # download times cannot be planned
            self._gather_online(count, clip)

    def _gather_online(self, count: int, clip: ClipSimilarity | None) -> None:
        settings = self.settings
        because: dict[str, Scalar] = {
            "sources": ", ".join(settings.class_images), "count": count,
            "words": settings.class_query or self.subject.class_noun,
            "licences": ", ".join(settings.class_licences), "min_side": settings.class_min_side,
        }  # fmt: skip
        before = self.decisions.latest("class_images")
        if before and before.because == because and before.value == list_of(self.project):
            return  # nothing needs to be requested again

        def gather() -> tuple[Value, str]:
            gathered = download_class_images(
                self.project, settings.class_images, count=count, words=settings.class_query,
                licences=settings.class_licences, min_side=settings.class_min_side,
                contact=self.contact, openverse_token=self.token, clip=clip,
                progress=self.observer.progress,
            )  # fmt: skip
            for note in gathered.notes:
                self.observer.say(f"class images: {note}")
            return list_of(self.project), f"{len(gathered.images)} were found"

        self.decisions.settle("class_images", because, gather, anew=True)

    def _class_count(self, base: DiffusionModel, budget: Budget | None) -> int:
        wanted = self.settings.class_count

        def choose() -> tuple[Value, str]:
            if budget is None:
                return wanted or CLASS_IMAGES, "as chosen" if wanted else "no time budget was set"
            count = class_images_within(self.project, base, budget, wanted)
            return count, "as chosen" if wanted else "as many as a tenth of the time budget allows"

        because = {
            "base": base.content_hash[:12], "budget": self.settings.time_budget, "chosen": wanted
        }  # fmt: skip
        return int(str(self.decisions.settle("class_count", because, choose).value))

    def _plan(self, base: DiffusionModel, budget: Budget | None) -> Plan:
        """The valid plan, or a new one; then the user is told which inputs changed."""
        settings = self.settings
        asked = Asked(
            time_budget=settings.time_budget or "none", seed=settings.seed,
            early_stopping=settings.early_stopping,
        )  # fmt: skip
        if plan := plan_that_holds(self.project, base, asked):
            return plan
        if before := read_current_plan(self.project.plan_file):
            changed = before.inputs.differences(current_inputs(self.project, base))
            for name, now in asked.model_dump().items():
                if before.asked and (then := getattr(before.asked, name)) != now:
                    changed.append(f"{name} ({then} then, {now} now)")
            self.observer.say(
                f"planned again, for a new run; changed: {', '.join(changed)}. Earlier runs are kept."
            )
        elif self.project.plan_file.exists():
            self.observer.say(
                "planned again, for a new run: plan.toml is of an earlier Packshot, and kept as "
                "plan.before.toml. Earlier runs are kept."
            )
        return make_plan(self.project, base, budget=budget, asked=asked, least_at_least=True)

    def _train(self, base: DiffusionModel, plan: Plan, finish: bool) -> bool:
        """Train by the plan; whether it was stopped."""
        pace = Pace(plan, self.observer.say)
        for event in train(
            self.project, base, should_stop=self.observer.should_stop, finish=finish
        ):
            self.observer.event(event)
            if isinstance(event, Step):
                pace.step(event)
            if isinstance(event, Stopped):
                return True
        return False


def insert_into_plates(
    project: Project, judge: ClipSimilarity | None, observer: Observer = _SILENT
) -> None:
    """Put the product into the project's plates, cut out of its photos: this needs no LoRA.

    A plate's place is its row's in the table, else near the middle. Plates that nothing can be put
    into are told, and keep nothing else from being done.
    """
    plates = project.settings.plates
    if plates == "none":
        return
    refused: dict[str, str] = {}
    place, settings = PlacementRequest(at="centre, near"), InsertionSettings()
    try:
        for made in insert_all(
            project, Path(plates), place, settings, embedder=judge,
            progress=observer.progress, refused=refused,
        ):  # fmt: skip
            missed = ", ".join(check.name for check in made.checks if not check.passed)
            observer.say(
                f"inserted: {made.file} ({f'fails: {missed}' if missed else 'all checks hold'})"
            )
    except (InsertionError, ImageRejectedError) as error:
        observer.say(f"not inserted: {error}")
    for name, reason in refused.items():
        observer.say(f"not inserted: {name}: {reason}")


class Pace:
    """Warns when training has become slower than planned."""

    SLOW = 1.5
    """Warn from this factor of the planned seconds per step."""
    WINDOW = 12
    """Number of steps over which the median is taken."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._planned, self._say = plan.estimate.seconds_per_step, say
        self._last: deque[float] = deque(maxlen=self.WINDOW)
        self._told = self.SLOW

    def step(self, step: Step) -> None:
        """Add a step; warn if the last steps were too slow."""
        self._last.append(step.seconds)
        if len(self._last) < self.WINDOW or not self._planned:
            return
        slower = statistics.median(self._last) / self._planned
        if slower < self._told:
            return
        self._told = 2 * slower
        left = (step.steps - step.step) * self._planned
        self._say(
            f"this machine has become slower: a step takes {slower:.1f} times as long as planned, the "
            f"rest of the training {in_words(slower * left)} rather than {in_words(left)}. To end the "
            "training now and keep its LoRA: Ctrl-C, then the same command with --finish."
        )


def closing_seconds(
    photos: Sequence[Photo], shots: int, judge: ClipSimilarity | None, decisions: Decisions
) -> float:
    """Estimated seconds for scores and report, measured on the largest photo."""
    largest = max(photos, key=lambda photo: photo.width * photo.height)

    def measure() -> tuple[Value, str]:
        opening = _seconds(lambda: open_image(largest.file))
        embedding = _seconds(lambda: embed_image_files(judge, [largest.file])) if judge else 0.0
        return {"opening": opening, "embedding": embedding}, f"of {largest.file.name}, the largest"

    because = {"photo": largest.sha256[:12], "embedder": judge.name if judge else "none"}
    seconds = decisions.settle("photo_seconds", because, measure).value
    images = 2 * (shots + len(photos))
    return 4 * len(photos) * seconds["opening"] + images * seconds["embedding"] + 1.0


def _seconds(work: Callable[[], object]) -> float:
    """The seconds of the second call of `work`; the first is a warm-up."""
    work()
    begun = time.perf_counter()
    work()
    return round(time.perf_counter() - begun, 4)


def list_of(project: Project) -> str:
    """A hash of the project's list of class images."""
    return hashing.fingerprint(
        [[image.sha256, image.prompt] for image in list_class_images(project)]
    )


def shoot_all(
    project: Project,
    base: DiffusionModel,
    prompts: Sequence[str],
    settings: GenerationSettings,
    judge: ClipSimilarity | None,
    observer: Observer = _SILENT,
) -> Path:
    """Generate the report's images with and without the LoRA: of the product, and of its class.

    Also writes their scores, and a contact sheet of those with the LoRA; returns the sheet's path.
    """
    lora = load_lora(project.lora_file, base)
    subject = project.subject
    drift_prompts = class_prompts(subject.class_noun)
    images = {}
    for kind, loras in (("with", [(lora, 1.0)]), ("without", [])):
        for folder, asked in (
            (project.shots_folder / kind, prompts),
            (project.shots_folder / "drift" / kind, drift_prompts),
        ):
            shots = generate_images(
                base, asked, loras=loras, settings=settings, folder=folder, subject=subject,
                progress=observer.progress, marking=project.marking,
                say=(observer if kind == "with" else _SILENT).say,
            )  # fmt: skip
            images[folder] = list(shots)
    score_project(project, judge)
    page = project.shots_folder / "sheet.png"
    if page.is_file() and not (project.shots_folder / overwriting.RESULTS).exists():
        overwriting.note_result(page, hashing.sha256(page))  # of Packshot 0.1, which kept no record
    return write_sheet(images[project.shots_folder / "with"], page, marking=project.marking)
