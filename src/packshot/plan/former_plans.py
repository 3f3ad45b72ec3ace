"""Plans that were made before: the one that still holds, and the one that would be lost."""

from __future__ import annotations

from packshot.models.diffusion_model import DiffusionModel
from packshot.plan.config import Asked, Plan, read_current_plan, read_plan_if_valid
from packshot.plan.inputs import current_inputs
from packshot.project import Project
from packshot.utils import files


def plan_that_holds(project: Project, base: DiffusionModel, asked: Asked) -> Plan | None:
    """The plan for the current inputs and request: plan.toml (maybe edited), or a past run's.

    A past run's plan becomes plan.toml again. None if there is none.

    Raises:
        InvalidPlanError: plan.toml is invalid; one of an earlier Packshot does not count.
    """
    now = current_inputs(project, base)

    def holds(plan: Plan) -> bool:
        return plan.asked in (None, asked) and not plan.inputs.differences(now)

    if (stands := read_current_plan(project.plan_file)) and holds(stands):
        return stands
    for run in reversed(project.runs()):
        plan = read_plan_if_valid(run / "plan.toml")
        if plan and plan.asked == asked and holds(plan):
            keep_aside(project, plan)
            files.write_bytes(project.plan_file, (run / "plan.toml").read_bytes())
            return plan
    return None


def keep_aside(project: Project, plan: Plan) -> None:
    """Back up the plan that `plan` is about to replace, unless a run has it: it may have been edited."""
    current = project.plan_file
    if not current.is_file():
        return
    data = current.read_bytes()
    if former := read_plan_if_valid(current):
        runs = [read_plan_if_valid(run / "plan.toml") for run in project.runs()]
        if former.fingerprint() in [one.fingerprint() for one in (*runs, plan) if one]:
            return
    files.write_bytes(current.with_name("plan.before.toml"), data)
