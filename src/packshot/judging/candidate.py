"""`Candidate`: a LoRA at a weight, and what was measured of it; and the list of a project's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from packshot.generation.generate import GeneratedImage, read_generated_images
from packshot.judging.intervals import Interval, interval
from packshot.project import Project, slug_of
from packshot.training.chosen import read_chosen
from packshot.training.runs import checkpoints
from packshot.utils import files, hashing, pathnames, reading

WEIGHTS = (0.6, 0.8, 1.0)
Values = Annotated[tuple[FiniteFloat, ...], Field(max_length=4096)]
"""Of a measure. A record that somebody has written may not have more: intervals take memory."""


@dataclass(frozen=True)
class Candidate:
    """A run's LoRA at a weight, and what was measured of its pictures; None: not measured.

    Attributes:
        run: the name of the run's folder; of a LoRA from elsewhere its file's.
        sha256: the LoRA file's, of which the scores are.
        likeness: the mean of the values "identity", higher is better.
        drift: the mean of the values "drift", lower is better.
        embedder: what measured likeness.
        step: the step of a checkpoint before the run's end; None for the end.
        values: by the measure's name, a value for each picture (or prompt, or example).
        base: the checkpoint that made the pictures; "" for the project's own.
        terms: what it was measured by, as hashes; see `Judge.terms`.
    """

    run: str
    weight: float
    sha256: str
    likeness: FiniteFloat | None = None
    drift: FiniteFloat | None = None
    embedder: str = ""
    step: int | None = None
    values: dict[str, Values] = field(default_factory=dict)
    base: str = ""
    terms: str = ""

    @property
    def place(self) -> tuple[str, int | None, float, str]:
        """Where it stands in the project: what was measured before of the same is replaced."""
        return self.run, self.step, self.weight, self.base

    @property
    def key(self) -> tuple[str, int | None, float, str, str]:
        """What it is, whatever was measured of it."""
        return *self.place, self.sha256

    @property
    def origin(self) -> str:
        """Which LoRA, in words: "20260101-120000, step 300"."""
        return self.run if self.step is None else f"{self.run}, step {self.step}"

    @property
    def name(self) -> str:
        """Which LoRA at which weight, in words: "20260101-120000, step 300, at 0.8 on sdxl.safetensors"."""
        return f"{self.origin}, at {self.weight:g}" + f" on {self.base}" * bool(self.base)

    def interval(self, measure: str) -> Interval | None:
        """The mean of a measure's values, and how sure it is; None if it was not measured."""
        values = self.values.get(measure)
        return interval(values) if values else None


_RECORDS = TypeAdapter(list[Candidate])


def runs_with_lora(project: Project) -> dict[str, Path]:
    """The LoRA file of each run that has one, by the run's name, oldest first."""
    name = project.lora_file.name
    return {run.name: run / name for run in project.runs() if pathnames.is_file(run / name)}


def loras_of_runs(project: Project) -> dict[tuple[str, int | None], Path]:
    """The LoRA files of the runs: of the steps that they kept, then of their ends, if they have ended."""
    found: dict[tuple[str, int | None], Path] = {}
    ended = runs_with_lora(project)
    for run in project.runs():
        kept = checkpoints(run, project.diffusers_lora_file.name)
        found |= {(run.name, step): place for step, place in kept.items()}
        if run.name in ended:
            found[run.name, None] = ended[run.name]
    return found


def list_candidates(
    project: Project, weights: Sequence[float] = WEIGHTS, terms: str | None = None
) -> list[Candidate]:
    """Each run's last LoRA at each weight, and what else of the runs was measured on the project's base.

    Of one run its checkpoints come first, then its end, each by weight. The last LoRA of a run that has
    not ended is that of the last step that it has kept.

    Args:
        terms: what was measured by others counts as not measured; by default by others than the last.
    """
    told = read_candidates(project)
    told = comparable(told) if terms is None else [one for one in told if one.terms == terms]
    scored = {one.key: one for one in told if not one.base}
    found, loras = [], loras_of_runs(project)
    last = dict(loras.keys())
    for (run, step), file in loras.items():
        digest = hashing.known_sha256(file)
        known = {
            one.weight
            for one in scored.values()
            if (one.run, one.step, one.sha256) == (run, step, digest)
        }
        for weight in sorted({*(weights if step == last[run] else ()), *known}):
            plain = Candidate(run, weight, digest, step=step)
            found.append(scored.get(plain.key, plain))
    return found


def folder_of(project: Project, candidate: Candidate) -> Path:
    """Where its pictures lie."""
    run = _on(project, candidate.base) / candidate.run
    at = run if candidate.step is None else run / f"step-{candidate.step:07d}"
    return at / f"{candidate.weight:g}"


def folder_without(project: Project, base: str = "") -> Path:
    """Where the pictures without a LoRA lie, of the project's base or of another."""
    return _on(project, base) / "without"


def _on(project: Project, base: str) -> Path:
    folder = project.candidates_folder
    return (
        folder / "bases" / f"{slug_of(base)[-40:]}-{hashing.fingerprint(base)[:8]}"
        if base
        else folder
    )


def pictures_of(project: Project, candidate: Candidate) -> list[GeneratedImage]:
    """The pictures of the product that a candidate was measured by; empty if it was not."""
    folder = folder_of(project, candidate) / "with"
    made = read_generated_images(folder) if folder.is_dir() else []
    return [one for one in made if candidate.sha256 in (digest for _, _, digest in one.loras)]


def read_candidates(project: Project) -> list[Candidate]:
    """What was measured, LoRAs from elsewhere included."""
    try:
        return _RECORDS.validate_python(
            reading.read_json(project.candidates_folder / "scores.json")
        )
    except ValidationError:
        return []


def comparable(measured: Sequence[Candidate]) -> list[Candidate]:
    """Of what was measured, in that order, what was by the same terms as the last of its base.

    And of bases those that were measured as the last of all was: the photos may be others since.
    """
    last = {one.base: one.terms for one in measured}
    now = measured[-1].terms.partition("-")[0] if measured else ""
    return [
        one
        for one in measured
        if one.terms == last[one.base] and one.terms.partition("-")[0] == now
    ]


def write_candidate(project: Project, done: Candidate) -> None:
    """Keep what was measured, in place of what was before of the same; it is the last."""
    with project.records_held():
        others = [one for one in read_candidates(project) if one.place != done.place]
        records = [asdict(one) for one in (*others, done)]
        files.write_json(project.candidates_folder / "scores.json", records)


def chosen_candidate(project: Project) -> tuple[str, int | None, float] | None:
    """The run, the step and the weight of the project's LoRA; None if it is of none of its runs."""
    if not pathnames.is_file(project.lora_file):
        return None
    now = hashing.known_sha256(project.lora_file)
    if (told := read_chosen(project)) and told.sha256 == now:
        return told.run, told.step, told.weight
    runs = runs_with_lora(project).items()
    return next(((run, None, 1.0) for run, file in runs if hashing.known_sha256(file) == now), None)
