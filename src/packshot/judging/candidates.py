"""Measuring a project's candidates, and making one of them its LoRA.

A LoRA that has learnt much is like the product, and moves other things of its class along; at a lower
weight it does less of both. What is best is seen in pictures: so each candidate has some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from packshot.class_images import list_class_images
from packshot.errors import LoraError, PackshotError
from packshot.generation.generate import GeneratedImage, GenerationSettings, generate_images
from packshot.generation.prompts import class_prompts, default_prompts
from packshot.judging import measures
from packshot.judging.candidate import (
    WEIGHTS,
    Candidate,
    choice_file,
    folder_of,
    list_candidates,
    loras_of_runs,
    write_candidate,
)
from packshot.judging.choice import Choice, Limits, keep_proposal, propose
from packshot.judging.drift import ClassExamples, class_drift, class_examples
from packshot.judging.intervals import interval
from packshot.judging.seen import Seen, see_file
from packshot.lora import Lora, load_lora, merge, save
from packshot.lora.weights import check_strength
from packshot.masks import Segmenter
from packshot.models.clip import embed_image_files
from packshot.models.diffusion_model import ClipSimilarity, DiffusionModel, ImageEmbedder
from packshot.photos.photo_set import require_photos
from packshot.project import Project
from packshot.utils import files
from packshot.utils.progress import Progress, silent

PROMPTS = 4
"""Of the project's prompts, how many each candidate is tried with."""
SEEDS = 3
"""Pictures of each: with fewer than a dozen chance explains most differences."""
LOOK_ALIKES = 16
"""Class images that the product is told from."""
SWEPT = 2
"""Checkpoints that are tried at the other weights, too: the most faithful ones."""


@dataclass(frozen=True)
class Judge:
    """What measures a project's LoRAs.

    Attributes:
        embedder: tells the product from others of its class.
        similarity: compares pictures with prompts; None: prompt fidelity is not measured.
        segmenter: finds the product in pictures that have no mask.
    """

    project: Project
    base: DiffusionModel
    embedder: ImageEmbedder
    similarity: ClipSimilarity | None
    segmenter: Segmenter
    prompts: int = PROMPTS
    seeds: int = SEEDS

    @cached_property
    def photos(self) -> list[Seen]:
        """The photos, by their own masks."""
        photos = require_photos(self.project)
        return [see_file(photo.file, self.segmenter, photo.mask) for photo in photos]

    @cached_property
    def photo_products(self) -> Tensor:
        """Their products' vectors."""
        return measures.products(self.embedder, self.photos)

    @cached_property
    def look_alikes(self) -> Tensor | None:
        """The vectors of other things of the class; None without class images."""
        images = list_class_images(self.project)
        chosen = images[:: max(1, len(images) // LOOK_ALIKES)][:LOOK_ALIKES]
        seen = [see_file(image.file, self.segmenter) for image in chosen]
        return measures.products(self.embedder, seen) if seen else None

    @cached_property
    def class_examples(self) -> ClassExamples:
        """What class drift is measured on."""
        images = list_class_images(self.project)
        return class_examples(self.base, images, self.project.subject.class_noun)

    def shoot(self, folder: Path, loras: Sequence[tuple[Lora, float]] = ()) -> list[GeneratedImage]:
        """The pictures that are measured; those that are there are not made again."""
        project = self.project
        prompts = list(project.settings.prompts or default_prompts(project.subject))[: self.prompts]
        settings = GenerationSettings(seeds=tuple(range(self.seeds)))
        return list(
            generate_images(
                self.base, prompts, loras=loras, settings=settings, folder=folder,
                subject=project.subject, marking=replace(project.marking, has_watermark=False),
            )
        )  # fmt: skip

    def measure(self, shots: Sequence[GeneratedImage]) -> dict[str, tuple[float, ...]]:
        """All that is measured of pictures, a value each; see `packshot.judging.measures`."""
        seen = [see_file(shot.file, self.segmenter) for shot in shots]
        products = measures.products(self.embedder, seen)
        around = measures.backgrounds(self.embedder, seen)
        whole = embed_image_files(self.embedder, [shot.file for shot in shots])
        known = measures.backgrounds(self.embedder, self.photos)
        found = {
            "identity": measures.identity(products, self.photo_products, self.look_alikes),
            "copied background": measures.copied_background(around, known),
            "diversity": measures.diversity(whole, [shot.prompt for shot in shots]),
            "count": [float(one.count) for one in seen],
        }
        if self.similarity:
            found["prompt fidelity"] = measures.prompt_fidelity(
                self.similarity, shots, self.project.subject
            )
        return {name: tuple(values) for name, values in found.items()}

    @cached_property
    def without(self) -> dict[str, tuple[float, ...]]:
        """The same of the pictures without a LoRA."""
        return self.measure(self.shoot(self.project.candidates_folder / "without"))

    def judged(self, candidate: Candidate, file: Path) -> Candidate:
        """Measure a candidate, and keep what was found."""
        loras = [(load_lora(file, self.base), candidate.weight)]
        values = self.measure(self.shoot(folder_of(self.project, candidate) / "with", loras))
        values["drift"] = tuple(class_drift(self.base, loras, self.class_examples))
        done = Candidate(
            candidate.run, candidate.weight, candidate.sha256, interval(values["identity"]).mean,
            interval(values["drift"]).mean, self.embedder.name, candidate.step, values,
        )  # fmt: skip
        write_candidate(self.project, done)
        return done


def score_candidates(
    judge: Judge,
    weights: Sequence[float] = WEIGHTS,
    others: Sequence[Path] = (),
    progress: Progress = silent,
) -> list[Candidate]:
    """Measure each checkpoint of each run at the highest weight, and the best two at the others.

    Pictures that are there are not made again.

    Args:
        others: LoRA files from elsewhere, which are measured along.

    Raises:
        LoraError: no run has a LoRA, or one is not for this base; or a weight that is none.
    """
    for weight in weights:
        check_strength("the weight", weight)
    sources = loras_of_runs(judge.project) | {(file.name, None): file for file in others}
    if not sources:
        raise LoraError("No run has a LoRA yet: train one (packshot train).")
    top, *lower = sorted(set(weights), reverse=True)
    total = len(sources) + len(lower) * min(SWEPT, len(sources))
    done: list[Candidate] = []

    def judge_all(wanted: Mapping[tuple[str, int | None], Path], at: Sequence[float]) -> None:
        for (run, step), file in wanted.items():
            for weight in at:
                progress("candidates", len(done), total)
                plain = Candidate(run, weight, files.known_sha256(file), step=step)
                done.append(judge.judged(plain, file))

    judge_all(sources, [top])
    ranked = sorted(done, key=lambda one: one.likeness or 0.0, reverse=True)
    best = {(one.run, one.step): sources[one.run, one.step] for one in ranked[:SWEPT]}
    judge_all(best, lower)
    progress("candidates", total, total)
    return done


def class_pictures(judge: Judge, candidate: Candidate | None) -> list[GeneratedImage]:
    """Pictures of other things of the class, made with a run's candidate; None: without a LoRA."""
    project, noun = judge.project, judge.project.subject.class_noun
    folder, loras = project.candidates_folder / "without class", []
    if candidate:
        source = loras_of_runs(project)[candidate.run, candidate.step]
        folder = folder_of(project, candidate) / "class"
        loras = [(load_lora(source, judge.base), candidate.weight)]
    return list(
        generate_images(
            judge.base, class_prompts(noun), loras=loras, folder=folder, subject=project.subject,
            settings=GenerationSettings(seeds=tuple(range(judge.seeds))),
            marking=replace(project.marking, has_watermark=False),
        )
    )  # fmt: skip


def propose_candidate(judge: Judge, limits: Limits | None = None) -> Choice | None:
    """Which of what was measured is proposed, and why; see `packshot.judging.choice.propose`. It is kept."""
    listed = [one for one in list_candidates(judge.project) if one.embedder == judge.embedder.name]
    choice = propose(listed, limits or Limits(), judge.without.get("prompt fidelity", ()))
    if choice:
        keep_proposal(judge.project, choice)
    return choice


def choose_candidate(
    project: Project,
    run: str,
    weight: float,
    base: Callable[[], DiffusionModel],
    step: int | None = None,
) -> None:
    """Make a run's LoRA the project's, at a weight: it is folded in, so that all use it at 1.

    Args:
        base: loads the base; called for another weight than 1, and for a step.
        step: of a checkpoint; None for the run's end.

    Raises:
        PackshotError: there is no such run, or it has no LoRA, or none of that step.
        LoraError: the weight is none, or the LoRA cannot be scaled.
    """
    check_strength("the weight", weight)
    source = _source(project, run, step)
    places = project.lora_file, project.diffusers_lora_file
    with project.held():
        if weight == 1 and step is None:
            for place in places:
                if files.is_file(source.parent / place.name):
                    files.hard_link_or_copy(source.parent / place.name, place)
        else:
            model = base()
            save(merge([(load_lora(source, model), weight)], model).lora, *places, model)
        told = Candidate(run, weight, files.sha256(project.lora_file), step=step)
        files.write_json(choice_file(project), asdict(told))


def _source(project: Project, run: str, step: int | None) -> Path:
    loras = loras_of_runs(project)
    if run not in (names := dict.fromkeys(name for name, _ in loras)):
        told = ", ".join(names) or "none"
        raise PackshotError(f"There is no run {run!r} with a LoRA; there are {told}.")
    if (run, step) not in loras and step is None:
        raise PackshotError(
            f"{run} has not ended: name one of the steps that it has kept (--step)."
        )
    if (run, step) not in loras:
        steps = ", ".join(str(at) for name, at in loras if name == run and at is not None)
        raise PackshotError(
            f"{run} has kept no LoRA of step {step}, but of {steps or 'its end alone'}."
        )
    return loras[run, step]
