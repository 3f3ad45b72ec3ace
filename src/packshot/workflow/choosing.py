"""The step of a run that chooses: which checkpoint, at which weight, becomes the project's LoRA."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from PIL import Image

from packshot.decisions import Decisions, Scalar, Value
from packshot.errors import ModelLoadError
from packshot.generation.embedders import NONE, identity_embedder_for
from packshot.judging.candidate import WEIGHTS, chosen_candidate
from packshot.judging.candidates import propose_candidate, score_candidates
from packshot.judging.chosen import choose_candidate
from packshot.judging.drift import EXAMPLES
from packshot.judging.effort import (
    EFFORTS,
    THOROUGH,
    TIME_SHARE,
    Effort,
    JudgingCost,
    effort_within,
)
from packshot.judging.judge import LOOK_ALIKES, Judge, judge_for
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.embedder import ClipSimilarity
from packshot.photos.photo_set import list_photos
from packshot.plan.calibration import machine, shot_seconds
from packshot.plan.config import Plan
from packshot.plan.run_cost import SAMPLE_ROUNDS
from packshot.project import Project
from packshot.training.chosen import is_in_place, read_chosen
from packshot.training.runs import checkpoints, finished, run_of
from packshot.utils import hashing
from packshot.workflow.observer import RunObserver

_NO_JUDGE = "nothing is at hand that measures likeness"


@dataclass(frozen=True)
class Choosing:
    """Choosing for one project.

    Attributes:
        similarity: the project's embedder; it also tells products apart where nothing better is at hand.
        loading: within it time is not counted.
    """

    project: Project
    base: DiffusionModel
    similarity: ClipSimilarity | None
    decisions: Decisions
    observer: RunObserver
    loading: Callable[[], AbstractContextManager[None]]

    def settle_effort(self) -> float:
        """Decide how much is tried, once; the seconds that it will take, 0 if nothing is."""
        settings = self.project.settings
        if not self._is_wanted:
            return 0.0
        because: dict[str, Scalar | None] = {
            **machine(self.base), "budget": settings.time_budget, "embedder": settings.embedder,
        }  # fmt: skip
        settled = self.decisions.settle("choosing", because, self._decide_effort)
        if settled.is_new and settled.value["effort"] == NONE:
            self.observer.say(f"the LoRA is taken as training ends it: {settled.reason}")
        return float(settled.value["seconds"])

    def _decide_effort(self) -> tuple[Value, str]:
        """What is tried, and its seconds; see `packshot.judging.effort`."""
        nothing: Value = {"effort": NONE, "seconds": 0.0}
        judge, budget = self._judge(THOROUGH), self.project.settings.time_budget_seconds
        if judge is None:
            return nothing, _NO_JUDGE
        if budget is None:
            return {"effort": THOROUGH.name, "seconds": 0.0}, "no time budget was set"
        cost = self._cost(judge)
        extent = SAMPLE_ROUNDS, len(WEIGHTS), len(list_photos(self.project)) + LOOK_ALIKES
        share = f"{TIME_SHARE:.0%} of the time budget"
        if effort := effort_within(cost, TIME_SHARE * budget, *extent):
            seconds = round(cost.seconds(effort, *extent), 1)
            return {"effort": effort.name, "seconds": seconds}, f"takes at most {share}"
        least = cost.seconds(EFFORTS[-1], *extent)
        return nothing, f"even a quick choice takes {least:.0f} s, more than {share}"

    def choose(self, plan: Plan) -> None:
        """Make the most faithful checkpoint and weight of a plan's run the project's LoRA.

        What a person has chosen stays, also of another run instead; where nothing is chosen, the run's end
        is taken.

        Args:
            plan: by which was trained; plan.toml may be another since.
        """
        run = run_of(self.project, plan)
        if run is None:
            return
        told = read_chosen(self.project)
        is_of_run = told is not None and told.run == run.name
        is_kept = is_of_run or is_in_place(self.project, run.name)
        if told and is_kept and not told.is_automatic:
            self._take(told.run, told.step, told.weight, is_automatic=False)
        elif effort := self._effort:
            self._settle(run.name, effort)
        elif is_of_run:
            self._take(run.name, None, 1.0)

    def _settle(self, run: str, effort: Effort) -> None:
        """Judge a run's candidates, once, and take the best."""
        folder = self.project.runs_folder / run
        ended = finished(folder)
        last = ended.step if ended else 0
        end = folder / self.project.lora_file.name

        def decide() -> tuple[Value, str]:
            judge = self._judge(effort)
            if judge is None:
                return {"step": last, "weight": 1.0}, f"training's end, for {_NO_JUDGE}"
            sources = {
                (run, step): file
                for step, file in checkpoints(folder, self.project.diffusers_lora_file.name).items()
            }
            score_candidates(
                judge, sources=sources | {(run, None): end}, progress=self.observer.progress
            )
            proposed = propose_candidate(judge, run=run)
            assert proposed is not None, "what was just measured is a candidate"
            one = proposed.candidate
            return {"step": one.step or last, "weight": one.weight}, proposed.why

        settled = self.decisions.settle("chosen", {"lora": hashing.known_sha256(end)[:12]}, decide)
        step = settled.value["step"]
        self._take(run, None if step == last else step, settled.value["weight"])
        self.observer.say(f"chosen: {settled.reason}")

    def _take(
        self, run: str, step: int | None, weight: float, *, is_automatic: bool = True
    ) -> None:
        if chosen_candidate(self.project) != (run, step, weight):
            choose_candidate(
                self.project, run, weight, lambda: self.base, step, is_automatic=is_automatic
            )

    @property
    def _is_wanted(self) -> bool:
        settings = self.project.settings
        return settings.choose and settings.embedder != NONE

    @property
    def _effort(self) -> Effort | None:
        """What was settled; None if nothing is tried."""
        settled = self.decisions.latest("choosing")
        if not self._is_wanted or settled is None or not isinstance(settled.value, dict):
            return None
        return next((one for one in EFFORTS if one.name == settled.value["effort"]), None)

    def _judge(self, effort: Effort) -> Judge | None:
        """The best judge that is at hand; None if there is none."""
        with self.loading():
            try:
                embedder = identity_embedder_for(
                    self.project, lambda: self.base, self.observer, offers=False
                )
            except ModelLoadError:
                if self.similarity is None:
                    return None
                embedder = self.similarity
            judge = judge_for(self.project, self.base, embedder, self.similarity, self.observer)
        return replace(judge, effort=effort)

    def _cost(self, judge: Judge) -> JudgingCost:
        making = shot_seconds(self.base, self.decisions)
        sampler = self.base.sampler
        passes = sampler.steps * self.base.count_passes(sampler.guidance_scale)
        side = self.base.native_pixels
        blank = Image.new("RGB", (side, side))
        judge.look(blank)  # to warm up
        begun = time.perf_counter()
        judge.look(blank)
        return JudgingCost(making, time.perf_counter() - begun, making * EXAMPLES / max(1, passes))
