"""Which plan holds for a request, and that none is lost."""

from packshot.plan import Asked, Budget, make_plan, plan_that_holds, read_plan, write_plan
from packshot.training.runs import open_run


def test_an_early_end_that_is_switched_off_is_another_request(ready_project, tiny_base, costs):
    asked, other = (Asked(time_budget="4m", early_stopping=on) for on in (True, False))
    plan = make_plan(ready_project, tiny_base, asked=asked)
    assert plan_that_holds(ready_project, tiny_base, asked) == plan
    assert plan_that_holds(ready_project, tiny_base, other) is None


def test_a_plan_holds_for_its_budget_and_comes_back_with_it(ready_project, tiny_base, costs):
    """4 minutes, 8 minutes, 4 minutes again: the plan of the first run, not another like it."""
    four, eight = Asked(time_budget="4m"), Asked(time_budget="8m")
    plan = make_plan(ready_project, tiny_base, budget=Budget.of_training(240), asked=four)
    assert plan_that_holds(ready_project, tiny_base, four) == plan
    assert plan_that_holds(ready_project, tiny_base, eight) is None
    open_run(ready_project, plan)
    other = make_plan(ready_project, tiny_base, budget=Budget.of_training(480), asked=eight)
    assert other.steps > plan.steps
    assert plan_that_holds(ready_project, tiny_base, four) == plan
    assert read_plan(ready_project.plan_file) == plan
    before = ready_project.plan_file.with_name("plan.before.toml")
    assert read_plan(before) == other, "no run had it yet: it is kept aside"


def test_a_plan_that_a_person_asked_for_holds_for_any_budget(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base, rank=3)
    assert plan_that_holds(ready_project, tiny_base, Asked(time_budget="4m")) == plan


def test_an_edited_plan_holds_and_is_never_lost(ready_project, tiny_base, costs):
    four = Asked(time_budget="4m")
    plan = make_plan(ready_project, tiny_base, budget=Budget.of_training(240), asked=four)
    edited = plan.model_copy(update={"steps": 7, "lr_warmup_steps": 0})
    write_plan(edited, ready_project.plan_file)
    assert plan_that_holds(ready_project, tiny_base, four) == edited
    make_plan(
        ready_project, tiny_base, budget=Budget.of_training(480), asked=Asked(time_budget="8m")
    )
    assert read_plan(ready_project.plan_file.with_name("plan.before.toml")) == edited
