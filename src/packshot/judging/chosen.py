"""Making a run's LoRA, at a weight, the project's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from packshot.errors import PackshotError
from packshot.judging.candidate import loras_of_runs
from packshot.lora import load_lora, merge, save
from packshot.lora.weights import check_strength
from packshot.models.diffusion_model import DiffusionModel
from packshot.plan.config import read_plan_if_valid
from packshot.project import Project
from packshot.training.chosen import Chosen, write_chosen
from packshot.training.runs import current_run, finished, refuse_other_loras
from packshot.utils import copying, hashing, overwriting, pathnames


def choose_candidate(
    project: Project,
    run: str,
    weight: float,
    base: Callable[[], DiffusionModel],
    step: int | None = None,
    *,
    is_automatic: bool = False,
) -> None:
    """Make a run's LoRA the project's, at a weight: it is folded in, so that all use it at 1.

    Args:
        base: loads the base; called for another weight than 1, and for a step.
        step: of a checkpoint; None for the run's end.
        is_automatic: whether `packshot run` chooses it; what a person chose, it leaves alone.

    Raises:
        PackshotError: there is no such run, or it has no LoRA, or none of that step.
        LoraError: the weight is none, or the LoRA cannot be scaled.
        OverwriteError: there is a LoRA in the project that no run of it has made.
    """
    check_strength("the weight", weight)
    source = _source(project, run, step)
    places = project.lora_file, project.diffusers_lora_file
    with project.held():
        refuse_other_loras(project)
        folder = source.parent
        if weight != 1 or step is not None:
            folder, model = project.candidates_folder / "chosen", base()
            folded = merge([(load_lora(source, model), weight)], model).lora
            save(folded, folder / places[0].name, folder / places[1].name, model)
        made = [(folder / place.name, place) for place in places]
        made = [(file, place) for file, place in made if pathnames.is_file(file)]
        digest = hashing.sha256(folder / project.lora_file.name)
        instead_of = "" if is_automatic else _stood_in_for(project, run)
        write_chosen(project, Chosen(run, step, weight, digest, is_automatic, instead_of))
        for file, place in reversed(made):  # the one by which it is known is the last
            overwriting.note_result(place, hashing.sha256(file))
            copying.hard_link_or_copy(file, place)


def _stood_in_for(project: Project, run: str) -> str:
    """The plan's run, if it has ended: what a person chooses of a run is used in its place from now on.

    Not of a run that learnt on a base of another family, which the plan's does not take.
    """
    planned = current_run(project)
    if planned is None or not finished(planned):
        return ""
    plans = [read_plan_if_valid(one / "plan.toml") for one in (planned, project.runs_folder / run)]
    families = {plan.inputs.base.partition("/")[0] for plan in plans if plan}
    return planned.name if len(families) == 1 else ""


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
