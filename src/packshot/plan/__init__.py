"""The plan of a training run: its numbers, where they come from, and what it will cost."""

from packshot.plan.model import Plan, read_plan, read_reasons, write_plan
from packshot.plan.planner import make_plan

__all__ = ["Plan", "make_plan", "read_plan", "read_reasons", "write_plan"]
