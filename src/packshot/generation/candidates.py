"""Candidates for the project's LoRA: each run's, at several weights, by likeness and class drift.

A LoRA that has learnt much is like the product, and moves other things of its class along; at a lower
weight it does less of both. What is best is seen in pictures: so each candidate has some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from packshot.errors import LoraError, PackshotError
from packshot.generation.generate import (
    GeneratedImage,
    GenerationSettings,
    generate_images,
    pair_images,
    read_generated_images,
)
from packshot.generation.prompts import class_prompts, default_prompts
from packshot.photos.photo_set import list_photos
from packshot.project import Project
from packshot.utils import files
from packshot.utils.progress import Progress, silent

if TYPE_CHECKING:
    from packshot.lora import Lora
    from packshot.models.diffusion_model import ClipSimilarity, DiffusionModel

WEIGHTS = (0.6, 0.8, 1.0)
PROMPTS = 4
"""Of the project's prompts, how many each candidate is tried with."""


@dataclass(frozen=True)
class Candidate:
    """A run's LoRA at a weight, and what was measured of its pictures; None: not measured.

    Attributes:
        run: the name of the run's folder.
        sha256: the LoRA file's, of which the scores are.
        likeness: CLIP-I, higher is better.
        drift: class drift, lower is better.
        embedder: the CLIP that measured them.
    """

    run: str
    weight: float
    sha256: str
    likeness: float | None = None
    drift: float | None = None
    embedder: str = ""


_RECORDS = TypeAdapter(list[Candidate])
_CHOICE = TypeAdapter(Candidate)


def runs_with_lora(project: Project) -> dict[str, Path]:
    """The LoRA file of each run that has one, by the run's name, oldest first."""
    name = project.lora_file.name
    return {run.name: run / name for run in project.runs() if files.is_file(run / name)}


def list_candidates(project: Project, weights: Sequence[float] = WEIGHTS) -> list[Candidate]:
    """Each run's LoRA at each weight, with the scores that were measured of it."""
    scored = {(one.run, one.weight, one.sha256): one for one in _read(project)}
    found = []
    for run, file in runs_with_lora(project).items():
        digest = files.known_sha256(file)
        known = {one.weight for one in scored.values() if (one.run, one.sha256) == (run, digest)}
        for weight in sorted({*weights, *known}):
            plain = Candidate(run, weight, digest)
            found.append(scored.get((run, weight, digest), plain))
    return found


def pictures_of(project: Project, candidate: Candidate) -> list[GeneratedImage]:
    """The pictures of the product that a candidate was measured by; empty if it was not."""
    folder = _folder(project, candidate) / "with"
    made = read_generated_images(folder) if folder.is_dir() else []
    return [one for one in made if candidate.sha256 in (digest for _, _, digest in one.loras)]


def score_candidates(
    project: Project,
    base: DiffusionModel,
    similarity: ClipSimilarity,
    weights: Sequence[float] = WEIGHTS,
    progress: Progress = silent,
) -> list[Candidate]:
    """Make pictures with each run's LoRA at each weight, and measure them as `score_project` does.

    Pictures that are there are not made again.

    Raises:
        LoraError: no run has a LoRA, or one is not for this base; or a weight that is none.
    """
    from packshot.generation.metrics import class_drift, clip_i
    from packshot.lora import load_lora
    from packshot.lora.weights import check_strength

    runs = runs_with_lora(project)
    if not runs:
        raise LoraError("No run has a LoRA yet: train one (packshot train).")
    for weight in weights:
        check_strength("the weight", weight)
    photos = [photo.file for photo in list_photos(project)]
    wanted = [
        Candidate(run, weight, files.known_sha256(file))
        for run, file in runs.items()
        for weight in weights
    ]
    own = list(project.settings.prompts or default_prompts(project.subject))[:PROMPTS]
    others = class_prompts(project.subject.class_noun)
    plain = _pictures(project, base, others, project.candidates_folder / "without")
    for number, one in enumerate(wanted):
        progress("candidates", number, len(wanted))
        loras, folder = [(load_lora(runs[one.run], base), one.weight)], _folder(project, one)
        shots = _pictures(project, base, own, folder / "with", loras)
        pairs = pair_images(_pictures(project, base, others, folder / "drift", loras), plain)
        done = Candidate(
            one.run, one.weight, one.sha256,
            clip_i(similarity, [shot.file for shot in shots], photos),
            class_drift(similarity, pairs), similarity.name,
        )  # fmt: skip
        _write(project, done)
    progress("candidates", len(wanted), len(wanted))
    return list_candidates(project, weights)


def choose_candidate(
    project: Project, run: str, weight: float, base: Callable[[], DiffusionModel]
) -> None:
    """Make a run's LoRA the project's, at a weight: it is folded in, so that all use it at 1.

    Args:
        base: loads the base; called for another weight than 1 alone.

    Raises:
        PackshotError: there is no such run, or it has no LoRA.
        LoraError: the weight is none, or the LoRA cannot be scaled.
    """
    from packshot.lora import load_lora, merge, save
    from packshot.lora.weights import check_strength

    check_strength("the weight", weight)
    source = runs_with_lora(project).get(run)
    if source is None:
        raise PackshotError(
            f"There is no run {run!r} with a LoRA; there are {', '.join(runs_with_lora(project)) or 'none'}."
        )
    places = project.lora_file, project.diffusers_lora_file
    with project.held():
        if weight == 1:
            for place in places:
                if files.is_file(source.parent / place.name):
                    files.hard_link_or_copy(source.parent / place.name, place)
        else:
            model = base()
            save(merge([(load_lora(source, model), weight)], model).lora, *places, model)
        told = Candidate(run, weight, files.sha256(project.lora_file))
        files.write_json(_choice_file(project), asdict(told))


def chosen_candidate(project: Project) -> tuple[str, float] | None:
    """The run and the weight of the project's LoRA; None if it is of none of its runs."""
    if not files.is_file(project.lora_file):
        return None
    now = files.known_sha256(project.lora_file)
    with suppress(ValidationError):
        told = _CHOICE.validate_python(files.read_json(_choice_file(project)))
        if told.sha256 == now:
            return told.run, told.weight
    runs = runs_with_lora(project).items()
    return next(((run, 1.0) for run, file in runs if files.known_sha256(file) == now), None)


def _pictures(
    project: Project,
    base: DiffusionModel,
    prompts: Sequence[str],
    folder: Path,
    loras: Sequence[tuple[Lora, float]] = (),
) -> list[GeneratedImage]:
    return list(
        generate_images(
            base, prompts, loras=loras, settings=GenerationSettings(), folder=folder,
            subject=project.subject, marking=project.marking,
        )
    )  # fmt: skip


def _choice_file(project: Project) -> Path:
    return project.candidates_folder / "choice.json"


def _folder(project: Project, candidate: Candidate) -> Path:
    return project.candidates_folder / candidate.run / f"{candidate.weight:g}"


def _read(project: Project) -> list[Candidate]:
    try:
        return _RECORDS.validate_python(files.read_json(project.candidates_folder / "scores.json"))
    except ValidationError:
        return []


def _write(project: Project, done: Candidate) -> None:
    others = [one for one in _read(project) if (one.run, one.weight) != (done.run, done.weight)]
    records = [asdict(one) for one in (*others, done)]
    files.write_json(project.candidates_folder / "scores.json", records)
