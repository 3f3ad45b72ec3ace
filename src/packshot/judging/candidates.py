"""Measuring a project's candidates, and proposing one of them.

A LoRA that has learnt much is like the product, and moves other things of its class along; at a lower
weight it does less of both. What is best is seen in pictures: so each candidate has some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packshot.errors import LoraError
from packshot.generation.generate import GeneratedImage
from packshot.judging.candidate import (
    WEIGHTS,
    Candidate,
    folder_of,
    folder_without,
    list_candidates,
    loras_of_runs,
)
from packshot.judging.choice import Choice, Limits, keep_proposal, propose
from packshot.judging.judge import Judge
from packshot.lora import load_lora
from packshot.lora.weights import check_strength
from packshot.utils import hashing
from packshot.utils.progress import Progress, silent

Sources = Mapping[tuple[str, int | None], Path]
"""LoRA files by the run's name and the checkpoint's step."""


def sources_of(judge: Judge, others: Sequence[Path] = ()) -> Sources:
    """The LoRAs of all runs that are for the judge's base, and files from elsewhere.

    Raises:
        LoraError: no run has one, or a file from elsewhere is not for this base.
    """
    found = {}
    for origin, file in loras_of_runs(judge.project).items():
        try:
            load_lora(file, judge.base)
        except LoraError:
            continue  # of a run that learnt on another base
        found[origin] = file
    for file in others:
        load_lora(file, judge.base)
    if not found and not others:
        raise LoraError("No run has a LoRA yet: train one (packshot train).")
    return found | {(name, None): file for name, file in _named(others)}


def _named(files: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Files from elsewhere by their names; those that share one (diffusers calls all alike) by a hash."""
    shared = Counter(file.name for file in files)
    for file in files:
        digest = f"-{hashing.known_sha256(file)[:8]}" if shared[file.name] > 1 else ""
        yield f"{file.stem}{digest}{file.suffix}", file


def score_candidates(
    judge: Judge,
    weights: Sequence[float] = WEIGHTS,
    sources: Sources | None = None,
    progress: Progress = silent,
) -> list[Candidate]:
    """Measure each LoRA at the highest weight, and the most faithful ones at the others.

    Pictures that are there are not made again.

    Args:
        sources: by default those of all runs.

    Raises:
        LoraError: as `sources_of`; or a weight that is none.
    """
    for weight in weights:
        check_strength("the weight", weight)
    sources = sources_of(judge) if sources is None else sources
    top, *lower = sorted(set(weights), reverse=True)
    total = judge.effort.candidates(len(sources), 1 + len(lower))
    done: list[Candidate] = []

    def judge_all(wanted: Sources, at: Sequence[float]) -> None:
        for (run, step), file in wanted.items():
            for weight in at:
                progress("candidates", len(done), total)
                digest = hashing.known_sha256(file)
                plain = Candidate(run, weight, digest, step=step, base=judge.other_base)
                done.append(judge.judged(plain, file))

    judge_all(sources, [top])
    ranked = sorted(done, key=lambda one: one.likeness or 0.0, reverse=True)
    best = {(one.run, one.step): sources[one.run, one.step] for one in ranked[: judge.effort.swept]}
    judge_all(best, lower)
    progress("candidates", total, total)
    return done


def pictures_with(
    judge: Judge, candidate: Candidate | None
) -> tuple[list[GeneratedImage], list[GeneratedImage]]:
    """Pictures of the product, by the judge's prompts, and of other things of its class.

    Args:
        candidate: the run's LoRA that they are made with; None: none.
    """
    if candidate is None:
        without = folder_without(judge.project, judge.other_base)
        return judge.shoot(without), judge.class_pictures(without.with_name("without class"))
    source = loras_of_runs(judge.project)[candidate.run, candidate.step]
    loras, folder = (
        [(load_lora(source, judge.base), candidate.weight)],
        folder_of(judge.project, candidate),
    )
    return judge.shoot(folder / "with", loras), judge.class_pictures(folder / "class", loras)


def propose_candidate(
    judge: Judge, limits: Limits | None = None, run: str | None = None
) -> Choice | None:
    """Which of what was measured is proposed, and why; see `packshot.judging.choice.propose`. It is kept.

    Only what was measured on the judge's terms is compared: by the photos, masks, prompts, … of now.

    Args:
        run: only of this run.
    """
    without = judge.without.get("prompt fidelity", ()) if judge.similarity else ()
    compared = [
        one for one in list_candidates(judge.project, terms=judge.terms) if run in (None, one.run)
    ]
    choice = propose(compared, limits or Limits(), without)
    if choice:
        keep_proposal(judge.project, choice)
    return choice
