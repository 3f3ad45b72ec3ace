"""What fits a time budget: so many steps at a resolution, so many class images; or nothing useful."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, ParamSpec, TypeVar

from packshot.decisions import SPEEDS, Decisions
from packshot.errors import TimeBudgetError
from packshot.models.diffusion_model import DiffusionModel
from packshot.plan.assistant import load_assistant
from packshot.plan.calibration import SHOTS_AT_ONCE
from packshot.plan.cpu_threads import load_if_busy
from packshot.plan.recipes import recipe_of
from packshot.plan.run_cost import RunSize, run_sizes, workload_of
from packshot.project import Project
from packshot.utils.durations import in_words

CLASS_IMAGES = 100
"""How many the base generates if the time budget allows."""
FEWEST_CLASS_IMAGES = 8
CLASS_IMAGES_TIME_SHARE = 0.1
_SPARE = 1.02

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Budget:
    """The time budget, in seconds.

    `whole` is what the user gave. `left()` is called after all measuring; it must suffice for
    training, for generating `shots_after` images, and for `seconds_after` of other work.
    """

    whole: float
    left: Callable[[], float]
    shots_after: int = 0
    seconds_after: float = 0.0

    @classmethod
    def of_training(cls, seconds: float) -> Budget:
        """A budget for the training alone."""
        return cls(seconds, lambda: seconds)

    @property
    def spent(self) -> float:
        return max(0.0, self.whole - self.left())

    def left_for_training(self, shot_seconds: float) -> float:
        """What is left now, without what comes after training; an image takes `shot_seconds`."""
        return self.left() - self.seconds_after - self.shots_after * shot_seconds


def fit_to_budget(
    sizes: Iterable[RunSize],
    budget: Budget | None,
    decisions: Decisions,
    *,
    least_at_least: bool = False,
) -> tuple[RunSize, int]:
    """The largest resolution at which enough steps fit the time, and the number of steps.

    Args:
        sizes: the largest first; each is measured when it is asked for.
        budget: None for the whole recipe.
        least_at_least: the recipe's least if not even that fits.

    Raises:
        TimeBudgetError: none fits, and not `least_at_least`.
    """
    tried: list[RunSize] = []
    for size in sizes:
        full, least = size.work.full_steps, size.work.least_steps
        if budget is None:
            return size, full
        tried.append(size)
        left = budget.left_for_training(size.work.shot_seconds)
        fit = min(full, math.floor((left - size.seconds(0)) / size.step_seconds))
        while fit >= least and size.seconds(fit) > left:  # more steps see more class images
            fit -= max(1, math.floor((size.seconds(fit) - left) / size.step_seconds))
        if fit >= least:
            return size, fit
    quickest = min(tried, key=lambda size: size.seconds(least))
    if budget is None or least_at_least:
        return replace(quickest, why="smaller than the base's own, to fit the time"), least
    more = math.ceil(budget.whole - left + quickest.seconds(least))
    _refuse(budget.whole, more, tried, decisions)


def measured_twice(planning: Callable[_P, _R]) -> Callable[_P, _R]:
    """Plan once more where a time budget is refused: a moment's load may have refused it, and the
    speeds measured then are forgotten (`_refuse`)."""

    @functools.wraps(planning)
    def planned(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return planning(*args, **kwargs)
        except TimeBudgetError:
            return planning(*args, **kwargs)

    return planned


@measured_twice
def class_images_within(
    project: Project, base: DiffusionModel, budget: Budget, wanted: int | None = None
) -> int:
    """How many class images the base can generate in a tenth of the budget.

    Args:
        wanted: generate this many, however long it takes.

    Raises:
        TimeBudgetError: too little time is left for training; the message names the least
            budget that is enough for everything.
        NoUsablePhotosError, InsufficientMemoryError, LoraError: as `make_plan`.
    """
    decisions = Decisions(project)
    assistant = load_assistant(project, base)
    recipe = recipe_of(base, has_assistant=bool(assistant))
    work = workload_of(project, base, decisions, recipe, None, assistant=assistant)
    spent = budget.spent
    tried: list[RunSize] = []

    def needed(whole: float) -> float:
        count = wanted or _affordable(whole, work.shot_seconds)
        training = min(size.seconds(work.least_steps, count) for size in tried)
        images = (count + budget.shots_after) * work.shot_seconds
        return spent + training + images + budget.seconds_after

    for size in run_sizes(base, decisions, work):
        tried.append(size)
        if needed(budget.whole) <= budget.whole:
            return wanted or _affordable(budget.whole, work.shot_seconds)
    least = budget.whole
    # A little more than that: reading the photos takes another time at the next start.
    while (more := math.ceil(_SPARE * needed(least)) + 1) > least:
        least = more
    _refuse(budget.whole, least, tried, decisions)


def _affordable(whole: float, shot_seconds: float) -> int:
    fit = int(CLASS_IMAGES_TIME_SHARE * whole / max(shot_seconds, 1e-9))
    fit -= fit % SHOTS_AT_ONCE
    return min(CLASS_IMAGES, max(FEWEST_CLASS_IMAGES, fit))


def _refuse(whole: float, least: float, tried: Sequence[RunSize], decisions: Decisions) -> NoReturn:
    """Refuse a budget, and keep no speed by which it is refused: it may be that of a busy machine.

    Args:
        whole, least: the budget, and what it should at least be; seconds.
    """
    decisions.forget(*SPEEDS)
    work = tried[0].work
    quickest = min(size.seconds(work.least_steps) for size in tried)
    full = least - quickest + tried[0].seconds(work.full_steps)
    again = "If the machine was busy just now, run the same command again"
    if load := load_if_busy():
        again = f"The machine seems busy ({load}). Run the same command again when it is free"
    raise TimeBudgetError(
        f"{in_words(whole)} are too few on this machine: the least useful training is "
        f"{work.least_steps} steps. Give {least:.0f}s or more (the whole recipe takes about "
        f"{in_words(full)}), or use a GPU. {again}: its speed is measured anew."
    )
