"""What stands beside the numbers of a plan."""

from packshot.plan import make_plan, read_reasons


def test_every_number_that_was_chosen_has_its_reason(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base)
    reasons = read_reasons(ready_project.plan_file)
    assert set(reasons) >= set(plan.model_dump(exclude={"estimate", "inputs", "asked"}))
    assert "7 of 7 class images will be seen" in reasons["class_image_ratio"]
