"""Which checkpoint, at which weight: the most faithful one that leaves the class and the prompt alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from packshot.judging.candidate import Candidate, list_candidates
from packshot.judging.intervals import difference, interval, is_tie
from packshot.project import Project
from packshot.utils import files, reading

MOST_DRIFT = 0.2
"""On the bundled base other cars keep their shape at .14, some begin to change at .20, most have at .27
(docs/benchmarks.md)."""
MOST_LOST = 0.1
"""Of the prompt fidelity without a LoRA: CLIPs differ in the size of their cosines."""
MOST_BEHIND = 0.01
"""Likeness that a lighter LoRA may be behind, and surely no more. What chance alone might explain is not
enough: few pictures, or an embedder that sees little, explain much by chance, and light is less like."""


@dataclass(frozen=True)
class Limits:
    """What a candidate may cost.

    Attributes:
        drift: the most relative change of what is predicted of the class; see `prediction_drift`.
        lost: the share of the prompt fidelity without a LoRA that may be lost.
    """

    drift: float = MOST_DRIFT
    lost: float = MOST_LOST


@dataclass(frozen=True)
class Choice:
    """The candidate that is proposed, and why, in one sentence."""

    candidate: Candidate
    why: str


_RECORD = TypeAdapter(Choice)


def propose(
    candidates: Sequence[Candidate], limits: Limits, without: Sequence[float] = ()
) -> Choice | None:
    """The most faithful candidate within the limits; what is surely hardly behind is as good.

    Of several that are as good it is the earlier checkpoint, then the lower weight: what is learnt in fewer
    steps and used more lightly leaves more of the base.

    Where none is within the limits they give way only as far as they must: to the least drift that any
    has, and then prompt fidelity is compared with that of the candidate that keeps most of it. (What all
    lose tells none from another: of a can the lightest lost nearly as much as the most faithful, and was
    hardly like the product.)

    Args:
        without: the prompt fidelity of the same shots without a LoRA; empty if it was not measured.

    Returns:
        None if no candidate was measured.
    """
    measured = [one for one in candidates if one.values.get("identity") and one.values.get("drift")]
    if not measured:
        return None
    given, within = limits, [one for one in measured if not _faults(one, limits, without)]
    beyond = not within
    if beyond:
        limits, kept = _given_way(measured, limits)
        within = [one for one in measured if not _faults(one, limits, kept)]
    best = max(within, key=_identity)
    chosen = min((one for one in within if one is best or _is_as_good(one, best)), key=_order)
    ties = [
        one
        for one in within
        if one is not best and is_tie(best.values["identity"], one.values["identity"])
    ]
    why = _why(chosen, best, len(ties), limits)
    if beyond:
        told = ", ".join(_faults(chosen, given, without))
        why = f"None is within the limits ({told}). Of those that exceed them least, {why}"
    return Choice(chosen, why)


def keep_proposal(project: Project, choice: Choice) -> None:
    """Keep what was proposed, for the report and the studio."""
    files.write_json(_file(project), asdict(choice))


def read_proposal(project: Project) -> Choice | None:
    """What was proposed last; None if nothing was, or its LoRA or what that was measured by is another."""
    try:
        told = _RECORD.validate_python(reading.read_json(_file(project)))
    except ValidationError:
        return None
    one = told.candidate
    known = {(other.key, other.terms) for other in list_candidates(project)}
    return told if (one.key, one.terms) in known else None


def _file(project: Project) -> Path:
    return project.candidates_folder / "proposal.json"


def _faults(one: Candidate, limits: Limits, without: Sequence[float]) -> list[str]:
    """Which limits a candidate surely exceeds, in words."""
    faults = []
    if _drift(one) > limits.drift:
        faults.append(f"prediction drift {_drift(one):.3f} of {limits.drift:g} at most")
    own = one.values.get("prompt fidelity", ())
    if own and len(own) == len(without):
        lost, whole = difference(without, own), interval(without).mean
        if lost.mean > limits.lost * whole and lost.low > 0:
            share = lost.mean / whole
            faults.append(f"prompt fidelity {share:.0%} lower, of {limits.lost:.0%} at most")
    return faults


def _given_way(measured: Sequence[Candidate], limits: Limits) -> tuple[Limits, Sequence[float]]:
    """Limits that at least one candidate is within, and the prompt fidelity to compare with."""
    drift = max(limits.drift, min(map(_drift, measured)))
    leaving = [one.values.get("prompt fidelity", ()) for one in measured if _drift(one) <= drift]
    return replace(limits, drift=drift), max(leaving, key=lambda own: sum(own) / max(len(own), 1))


def _is_as_good(one: Candidate, best: Candidate) -> bool:
    """Whether it is surely hardly behind the best, as far as the same prompts and seeds tell."""
    return difference(best.values["identity"], one.values["identity"]).high <= MOST_BEHIND


def _identity(one: Candidate) -> float:
    return interval(one.values["identity"]).mean


def _drift(one: Candidate) -> float:
    return interval(one.values["drift"]).mean


def _order(one: Candidate) -> tuple[float, float, str]:
    """Earlier checkpoints first, a run's end last of its own; then lower weights, then older runs."""
    return (math.inf if one.step is None else one.step), one.weight, one.run


def _why(chosen: Candidate, best: Candidate, ties: int, limits: Limits) -> str:
    likeness, drift = interval(chosen.values["identity"]), _drift(chosen)
    costs = f"at a prediction drift of {drift:.3f} ({limits.drift:g} at most)"
    if chosen is not best:
        return (
            f"{chosen.name} is the lightest that is surely at most {MOST_BEHIND:g} behind the most faithful "
            f"({best.name}, likeness {_identity(best):.3f}): likeness {likeness}, {costs}."
        )
    others = f", though chance does not tell it from {ties} of the others" if ties else ""
    return f"{chosen.name} is the most faithful{others}, likeness {likeness}, {costs}."
