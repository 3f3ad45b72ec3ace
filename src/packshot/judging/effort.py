"""How much is tried before a LoRA is chosen: pictures of each candidate, and how long they take."""

from __future__ import annotations

from dataclasses import dataclass

TIME_SHARE = 0.15
"""Of a time budget: the most that choosing may take."""


@dataclass(frozen=True)
class Effort:
    """What is made of a run's checkpoints.

    Attributes:
        prompts, seeds: of each candidate there are pictures of so many prompts with so many seeds.
        swept: so many checkpoints, the most faithful ones, are tried at the other weights, too.
    """

    name: str
    prompts: int
    seeds: int
    swept: int

    def candidates(self, checkpoints: int, weights: int) -> int:
        """How many candidates are measured of so many checkpoints."""
        return checkpoints + (weights - 1) * min(self.swept, checkpoints)

    def pictures(self, candidates: int) -> int:
        """How many pictures are made: of each candidate, and without a LoRA."""
        return (candidates + 1) * self.prompts * self.seeds


THOROUGH = Effort("thorough", prompts=4, seeds=3, swept=2)
"""With fewer than a dozen pictures chance explains most differences."""
QUICK = Effort("quick", prompts=4, seeds=2, swept=1)
EFFORTS = (THOROUGH, QUICK)
"""The most thorough first. With fewer pictures a choice would be a guess: none is made then."""


@dataclass(frozen=True)
class JudgingCost:
    """Seconds on this machine: to make a picture, to look at one, and to measure a candidate's drift."""

    making: float
    looking: float
    drift: float

    def seconds(self, effort: Effort, checkpoints: int, weights: int, known: int) -> float:
        """Of the whole judging of one run.

        Args:
            known: photos and class images that are looked at, too.
        """
        candidates = effort.candidates(checkpoints, weights)
        pictures = effort.pictures(candidates)
        looking = (pictures + known) * self.looking
        return pictures * self.making + looking + (candidates + 1) * self.drift


def effort_within(
    cost: JudgingCost, seconds: float, checkpoints: int, weights: int, known: int
) -> Effort | None:
    """The most thorough effort that takes no longer than `seconds`; None if none does."""
    fits = (one for one in EFFORTS if cost.seconds(one, checkpoints, weights, known) <= seconds)
    return next(fits, None)
