"""Plan: one slider of time and what it buys; all numbers behind a fold, each with its reason."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.responses import Response

from packshot.class_images import list_class_images
from packshot.doctor.load import machine_load
from packshot.errors import InvalidPlanError, PackshotError
from packshot.plan import edit_plan, read_choices, read_plan, read_reasons
from packshot.plan.choices import PlanChoice
from packshot.plan.config import Plan
from packshot.project import Project
from packshot.studio.pages import Visit, view
from packshot.studio.views.steps import Step, photo_names

STEP = Step("plan", lambda project: project.plan_file.is_file())
CHOICES = {
    "target_modules": ("cross-attention", "attention", "attention+mlp", "all"),
    "lr_scheduler": ("cosine", "constant"),
    "weight_storage": ("full", "int8", "nf4", "offload"),
    "precision": ("bf16", "fp16", "fp32"),
}
"""Of the numbers that are words: what they may be."""
_COMMA = re.compile(r"^(\s*\d+),(\d)")


@view("/p/{project}/plan")
def show(visit: Visit) -> Response:
    """The page."""
    return visit.page("plan.html", has_photos=bool(photo_names(visit.here)))


@view("/p/{project}/plan/choice")
def choice(visit: Visit) -> Response:
    """The slider, with what each position buys and needs."""
    project = visit.here
    compared = read_choices(project.plan_choices_file)
    counts = len(photo_names(project)), len(list_class_images(project))
    is_stale = compared is not None and (
        (compared.photos, compared.class_images) != counts or compared.base != project.settings.base
    )
    plan, fault = None, ""
    try:
        plan = read_plan(project.plan_file) if project.plan_file.is_file() else None
    except PackshotError as error:
        fault = str(error)
    choices = compared.choices if compared else ()
    at = min(range(len(choices)), key=lambda n: abs(choices[n].steps - plan.steps)) if (
        plan and choices
    ) else len(choices) - 1  # fmt: skip
    return visit.page(
        "_plan.html", choices=choices, at=at, is_stale=is_stale, plan=plan, fault=fault,
        seconds=seconds_of(project, plan) if plan else 0,
        machine=machine_load(project.root), shown=[_shown(one) for one in choices],
    )  # fmt: skip


@view("/p/{project}/plan/numbers")
def numbers(visit: Visit) -> Response:
    """All numbers of plan.toml."""
    file = visit.here.plan_file
    plan = read_plan(file)
    values = {
        name: value
        for name, value in plan.model_dump().items()
        if isinstance(value, (bool, int, float, str))
    }
    return visit.page(
        "_numbers.html", values=values, reasons=read_reasons(file), options=CHOICES,
        seconds=seconds_of(visit.here, plan),
    )  # fmt: skip


@view("/p/{project}/plan/numbers", "POST")
def change(visit: Visit) -> Response:
    """Change one number of plan.toml, if the plan then makes sense."""
    project, name = visit.here, visit.value("name")

    def now() -> str:
        return str(read_plan(project.plan_file).model_dump().get(name))

    before = now()
    wanted = visit.value("value", "false")
    if visit.t.language == "it":  # whose keyboards of numbers have no point
        wanted = _COMMA.sub(r"\1.\2", wanted)
    if visit.value("before", before) not in (before, wanted):
        anyway = f"/p/{visit.project_id}/plan/numbers?{urlencode({'name': name, 'value': wanted})}"
        return visit.refuse(
            "plan.changed_elsewhere", anyway=anyway, then="plan-changed", name=name, now=before
        )

    def put(value: str) -> None:
        with project.held():
            edit_plan(project.plan_file, {name: value})

    put(wanted)
    undo = visit.studio.undo.add(lambda: put(before), now, then="plan-changed")
    return visit.notice("plan.changed", undo=undo, then="plan-changed", name=name)


@view("/p/{project}/plan/measure", "POST")
def measure(visit: Visit) -> Response:
    """Queue measuring what each time budget would buy."""
    visit.studio.queue.add(visit.here, "measure", "plan", "--compare")
    return Response(status_code=204)


@view("/p/{project}/plan", "POST")
def make(visit: Visit) -> Response:
    """Queue the making of the plan that was chosen."""
    compared = read_choices(visit.here.plan_choices_file)
    at = int(visit.value("at")) if visit.value("at").isdecimal() else -1
    if compared is None or not 0 <= at < len(compared.choices):
        raise InvalidPlanError("There is no such choice: measure first.")
    budget = compared.choices[at].budget
    words = [] if budget is None else ["--time-budget", f"{budget}s"]
    visit.studio.queue.add(visit.here, "plan", "plan", "--keep-measurements", *words)
    return Response(status_code=204)


def seconds_of(project: Project, plan: Plan) -> float:
    """How long a plan takes: as estimated, and for steps that were changed since, at its pace."""
    estimate, compared = plan.estimate, read_choices(project.plan_choices_file)
    of = min(
        compared.choices if compared else (),
        key=lambda one: abs(one.seconds - estimate.seconds),
        default=None,
    )
    changed = plan.steps - of.steps if of else 0
    return max(
        estimate.seconds + changed * estimate.seconds_per_step,
        plan.steps * estimate.seconds_per_step,
    )


def _shown(one: PlanChoice) -> dict[str, float | int]:
    """What the page's script shows of a choice."""
    return one.model_dump(
        include={"steps", "resolution", "share", "seconds", "bytes", "disk_bytes"}
    )


ROUTES = [show, choice, numbers, change, measure, make]
