"""What is planned, given what a step and a picture cost."""

import pytest

from packshot.decisions import Decisions
from packshot.errors import (
    InvalidPlanError,
    NoUsablePhotosError,
)
from packshot.models.device_memory import OVERHEAD
from packshot.plan import (
    Budget,
    compare_budgets,
    make_plan,
    planner,
    read_choices,
    read_plan,
    read_reasons,
    run_cost,
)
from packshot.plan.calibration import calibrate, shot_seconds, step_cost
from packshot.plan.compile_gain import CompileGain
from packshot.plan.evaluations import Evaluations, plan_evaluations
from packshot.project import create_project, save_choices
from packshot.settings import choices_of
from tests.plan.conftest import cost


def training(seconds):
    return Budget.of_training(seconds)


def test_a_plan_says_when_training_is_done_unless_that_is_switched_off(
    ready_project, tiny_base, costs, monkeypatch
):
    monkeypatch.setattr(run_cost.evaluations, "TIME_SHARE", 0.05)
    monkeypatch.setattr(run_cost, "plan_evaluations", plan_evaluations)
    plan = make_plan(ready_project, tiny_base)
    one = 8 / plan.effective_batch_size / 2  # half of eight images' share of a step's second
    expected = plan_evaluations(plan.steps, 1.0, one)
    assert expected.every and expected == Evaluations(
        plan.eval_every_n_steps, plan.early_stopping_window, plan.early_stopping_variance
    )
    assert plan.steps // plan.eval_every_n_steps * one <= 0.05 * plan.steps
    save_choices(ready_project, choices_of(early_stopping=False))
    never = make_plan(ready_project, tiny_base)
    assert (never.eval_every_n_steps, never.early_stopping_variance) == (0, 0.0)
    assert never.estimate.seconds == pytest.approx(plan.estimate.seconds / 1.05, rel=0.01)


def test_a_run_that_compiles_is_planned_with_what_it_saves(
    ready_project, tiny_base, costs, monkeypatch
):
    asked, plain = [], make_plan(ready_project, tiny_base)

    def choose(base, decisions, work, **options):
        asked.append((work, options))
        return CompileGain(True, "it pays", step_seconds=0.25, seconds=20.0)

    monkeypatch.setattr(planner, "choose_compile", choose)
    plan = make_plan(ready_project, tiny_base)
    assert plan.torch_compile and not plain.torch_compile
    assert read_reasons(ready_project.plan_file)["torch_compile"] == "it pays"
    assert plain.estimate.seconds - plan.estimate.seconds == pytest.approx(20.0)
    assert plain.estimate.seconds_per_step - plan.estimate.seconds_per_step == 0.25
    work, options = asked[0]
    assert options == {"spare_seconds": float("inf"), "anew": False}
    assert (work.steps, work.pixels, work.at_once) == (plan.steps, plan.resolution, 2)
    assert work.shapes % work.at_once == 0 and work.shapes >= 2
    make_plan(ready_project, tiny_base, budget=training(plain.estimate.seconds + 50))
    assert asked[1][1]["spare_seconds"] == pytest.approx(50, abs=0.1)


def test_without_a_budget_the_whole_recipe_is_planned(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base)
    assert plan.steps * plan.effective_batch_size * (1 - plan.class_image_ratio) == 600, (
        "five photos' exposures"
    )
    assert plan.resolution == 64 and plan.estimate.seconds == plan.steps
    assert plan == read_plan(ready_project.plan_file)


@pytest.mark.parametrize("processes", [2, 8])
def test_several_processes_share_a_batch_with_an_image_for_each(
    ready_project, tiny_base, costs, processes
):
    costs(lambda **_: cost(picture=0.5))
    alone = make_plan(ready_project, tiny_base)
    plan = make_plan(ready_project, tiny_base, processes=processes)
    assert plan.effective_batch_size == max(alone.effective_batch_size, processes)
    seen = [each.steps * each.effective_batch_size for each in (alone, plan)]
    assert seen[1] == pytest.approx(seen[0], abs=processes)
    assert plan.estimate.seconds == pytest.approx(alone.estimate.seconds / processes, rel=0.02)
    assert (
        f"of {processes} processes" in read_reasons(ready_project.plan_file)["effective_batch_size"]
    )


def test_a_wish_out_of_range_is_said(ready_project, tiny_base, costs):
    with pytest.raises(InvalidPlanError, match=r"rank = 0: .* greater than or equal to 1"):
        make_plan(ready_project, tiny_base, rank=0)


def test_wishes_override_the_recipe(ready_project, tiny_base, costs):
    plan = make_plan(
        ready_project, tiny_base, target_modules="cross-attention", rank=3, class_image_ratio=0.0
    )
    assert (plan.target_modules, plan.rank, plan.class_image_ratio) == ("cross-attention", 3, 0.0)


@pytest.mark.parametrize("seconds", [0, -5])
def test_no_time_is_no_budget(ready_project, tiny_base, seconds):
    with pytest.raises(InvalidPlanError, match="must be more than nothing"):
        make_plan(ready_project, tiny_base, budget=training(seconds))


def test_text_encoders_learn_only_where_it_was_asked_for(ready_project, tiny_base, costs):
    asked = []

    def step(text_rank, **_):
        asked.append(text_rank)
        return cost(picture=1)

    costs(step)
    assert make_plan(ready_project, tiny_base).text_encoder_rank == 0
    plan = make_plan(ready_project, tiny_base, train_text_encoder=True)
    assert plan.text_encoder_rank == plan.rank and asked == [0, plan.rank]
    assert plan.text_encoder_learning_rate == plan.learning_rate / 2
    assert "text encoders" in read_reasons(ready_project.plan_file)["text_encoder_rank"]


@pytest.mark.slow
def test_what_was_measured_once_is_not_measured_again(ready_project, tiny_base):
    """The noise of the clock reaches a plan once: the second is as the first, but for its wishes."""
    plan = make_plan(ready_project, tiny_base, budget=training(2000))
    again = make_plan(ready_project, tiny_base, budget=training(2000))
    assert again == plan
    decisions = Decisions(ready_project)
    asked = {"pixels": 64, "targets": "attention", "rank": 2, "batch": 2}
    first = step_cost(tiny_base, decisions, **asked)
    assert step_cost(tiny_base, decisions, **asked) == first
    assert step_cost(tiny_base, decisions, **asked, anew=True) != first
    assert shot_seconds(tiny_base, decisions) == shot_seconds(tiny_base, decisions) > 0


@pytest.mark.slow
def test_calibration_with_text_encoders_costs_more_and_leaves_them_alone(tiny_base):
    names = [name for name, _ in tiny_base.text_encoder.named_modules()]
    asked = {"pixels": 64, "targets": "attention", "rank": 4, "batch": 2}
    plain, both = calibrate(tiny_base, **asked), calibrate(tiny_base, **asked, text_rank=4)
    assert [name for name, _ in tiny_base.text_encoder.named_modules()] == names
    reader = tiny_base.text_encoder
    layers = [reader.get_submodule(n) for n in tiny_base.text_targets()["text_encoder"]]
    sides = sum(layer.in_features + layer.out_features for layer in layers)
    assert both.adapter_parameters - plain.adapter_parameters == 4 * sides
    assert both.working_bytes_per_picture > plain.working_bytes_per_picture


def test_no_photos_is_said(tmp_path, tiny_base):
    project = create_project(tmp_path / "p", name="A", class_noun="car")
    with pytest.raises(NoUsablePhotosError, match="packshot photos FOLDER"):
        make_plan(project, tiny_base)


def test_calibration_measures_this_machine_and_leaves_the_base_alone(tiny_base):
    names = [name for name, _ in tiny_base.denoiser.named_modules()]
    found = calibrate(tiny_base, pixels=64, targets="attention", rank=4, batch=4)
    assert [name for name, _ in tiny_base.denoiser.named_modules()] == names
    modules = [tiny_base.denoiser.get_submodule(n) for n in tiny_base.lora_targets("attention")]
    sides = [m.in_features + m.out_features for m in modules]
    assert found.adapter_parameters == 4 * sum(sides)
    assert found.seconds(4) > 0 and found.seconds(4, launches=3) >= found.seconds(4)
    assert found.working_bytes_per_picture > 2**16
    assert found.bytes(8) - found.bytes(4) == pytest.approx(
        4 * OVERHEAD * found.working_bytes_per_picture, rel=1e-3
    )


def test_each_choice_is_what_its_budget_then_gives(ready_project, tiny_base, costs):
    costs(lambda pixels, batch, **_: cost(picture=20 * pixels**2 / 64**2 / batch))
    compared = compare_budgets(ready_project, tiny_base)
    assert compared == read_choices(ready_project.plan_choices_file)
    assert not ready_project.plan_file.exists() and compared.class_images == 7
    *shorter, whole = compared.choices
    assert len(shorter) > 3 and (whole.budget, whole.share) == (None, 1.0)
    seconds = [one.seconds for one in compared.choices]
    assert seconds == sorted(seconds) and all(one.seconds <= one.budget for one in shorter)
    for one in (shorter[0], shorter[-1], whole):
        budget = Budget.of_training(one.budget) if one.budget else None
        plan = make_plan(ready_project, tiny_base, budget=budget)
        assert (plan.steps, plan.resolution, plan.estimate.seconds, plan.estimate.bytes) == (
            one.steps, one.resolution, one.seconds, one.bytes,
        )  # fmt: skip


def test_choices_that_are_damaged_are_none(ready_project):
    assert read_choices(ready_project.plan_choices_file) is None
    ready_project.plan_choices_file.write_text('{"base": 1}')
    assert read_choices(ready_project.plan_choices_file) is None
