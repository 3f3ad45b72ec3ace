"""The plan of a training run: its numbers, their reasons, and its cost in time and memory."""

from typing import TYPE_CHECKING

from packshot.plan.choices import PlanChoices, read_choices
from packshot.plan.config import Asked, Plan, edit_plan, read_plan, read_reasons, write_plan
from packshot.utils.on_demand import on_demand

if TYPE_CHECKING:
    from packshot.plan.budget_fit import Budget, class_images_within
    from packshot.plan.former_plans import plan_that_holds
    from packshot.plan.planner import compare_budgets, make_plan

__all__ = [
    "Asked",
    "Budget",
    "Plan",
    "PlanChoices",
    "class_images_within",
    "compare_budgets",
    "edit_plan",
    "make_plan",
    "plan_that_holds",
    "read_choices",
    "read_plan",
    "read_reasons",
    "write_plan",
]
__getattr__ = on_demand(
    __name__,
    {
        "Budget": "budget_fit",
        "class_images_within": "budget_fit",
        "compare_budgets": "planner",
        "make_plan": "planner",
        "plan_that_holds": "former_plans",
    },
)
