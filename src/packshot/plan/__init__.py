"""The plan of a training run: its numbers, where they come from, and what it will cost."""

from packshot.plan.config import Asked, Plan, read_plan, read_reasons, write_plan
from packshot.plan.planner import Budget, class_images_within, make_plan, plan_that_holds

__all__ = [
    "Asked",
    "Budget",
    "Plan",
    "class_images_within",
    "make_plan",
    "plan_that_holds",
    "read_plan",
    "read_reasons",
    "write_plan",
]
