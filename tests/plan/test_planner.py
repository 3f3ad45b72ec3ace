"""What is planned, given what a step and a picture cost."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packshot.decisions import Decisions
from packshot.errors import (
    InsufficientMemoryError,
    InvalidPlanError,
    NoUsablePhotosError,
    TimeBudgetError,
)
from packshot.images import buckets
from packshot.models.device_memory import OVERHEAD
from packshot.plan import (
    Budget,
    calibration,
    class_images_within,
    compare_budgets,
    make_plan,
    planner,
    read_choices,
    read_plan,
    read_reasons,
)
from packshot.plan.calibration import calibrate, shot_seconds, step_cost
from packshot.plan.compile_gain import CompileGain
from packshot.plan.evaluations import Evaluations, plan_evaluations
from packshot.project import choices_of, create_project, save_choices
from tests.plan.conftest import cost


def training(seconds):
    return Budget.of_training(seconds)


def test_a_plan_says_when_training_is_done_unless_that_is_switched_off(
    ready_project, tiny_base, costs, monkeypatch
):
    monkeypatch.setattr(planner.evaluations, "TIME_SHARE", 0.05)
    monkeypatch.setattr(planner, "plan_evaluations", plan_evaluations)
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


def test_exposures_give_way_before_the_size(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base, budget=training(300))
    assert (plan.steps, plan.resolution) == (300, 64)
    assert plan.estimate.seconds <= 300


def test_then_the_size_gives_way(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base, budget=training(100))
    assert plan.resolution == 48 and plan.estimate.seconds <= 100
    assert "to fit the time" in read_reasons(ready_project.plan_file)["resolution"]


def test_too_small_a_budget_names_the_least(ready_project, tiny_base, costs):
    with pytest.raises(TimeBudgetError, match=r"10 s are too few.* 150 steps\. Give 38s or more"):
        make_plan(ready_project, tiny_base, budget=training(10))
    assert make_plan(ready_project, tiny_base, budget=training(38)).steps >= 150
    plan = make_plan(ready_project, tiny_base, budget=training(10), least_at_least=True)
    assert (plan.steps, plan.resolution) == (150, 32), "what was agreed to is begun all the same"


@pytest.fixture
def step_seconds(monkeypatch):
    """Seconds that a step takes when it is next measured; nothing else takes any."""
    seconds = []
    monkeypatch.setattr(
        calibration, "calibrate", lambda base, batch, **_: cost(picture=seconds[0] / batch)
    )
    monkeypatch.setattr(calibration, "threads_for", lambda base, decisions: 1)
    monkeypatch.setattr(planner, "threads_for", lambda base, decisions: 1)
    monkeypatch.setattr(planner, "shot_seconds", lambda base, decisions: 0.0)
    monkeypatch.setattr(planner, "load_if_busy", lambda: "")
    return seconds


@pytest.mark.parametrize("ask", [make_plan, class_images_within])
def test_a_speed_that_leads_to_a_refusal_is_measured_anew_at_the_next_start(
    ready_project, tiny_base, step_seconds, ask
):
    book, budget = Decisions(ready_project), training(300)
    book.settle("photo_seconds", {}, lambda: (9.0, "measured while it was busy"))
    book.settle("captioner", {}, lambda: ("blip", "installed"))
    step_seconds[:] = [50.0]
    with pytest.raises(TimeBudgetError, match=r"busy just now, run the same command again: its"):
        ask(ready_project, tiny_base, budget=budget)
    assert book.latest("step_cost") is book.latest("photo_seconds") is None
    assert book.latest("captioner").value == "blip", "which no speed decided"
    step_seconds[:] = [0.1]
    assert ask(ready_project, tiny_base, budget=budget)
    step_seconds[:] = [50.0]
    assert ask(ready_project, tiny_base, budget=budget), "what led to a plan is kept"


def test_a_refusal_says_that_the_machine_seems_busy(ready_project, tiny_base, costs, monkeypatch):
    monkeypatch.setattr(planner, "load_if_busy", lambda: "load 5.0 on 2 cores")
    with pytest.raises(
        TimeBudgetError, match=r"busy \(load 5\.0 on 2 cores\)\. Run .* is free: its"
    ):
        make_plan(ready_project, tiny_base, budget=training(10))


def test_shots_and_what_else_comes_after_are_left_time_for(ready_project, tiny_base, costs):
    costs(lambda **_: cost(picture=0.25), shot=0.4)
    alone = make_plan(ready_project, tiny_base, budget=training(300))
    busy = Budget(300, lambda: 300, shots_after=100, seconds_after=5)
    assert alone.steps - make_plan(ready_project, tiny_base, budget=busy).steps == pytest.approx(
        (100 * 0.4 + 5) / 0.5, abs=1
    )


@pytest.mark.parametrize(("most", "launches"), [(0.4, 1), (0.2, 1 + 1 / 5)])
def test_each_size_in_a_batch_is_a_launch_of_its_own(
    ready_project, tiny_base, costs, monkeypatch, most, launches
):
    """Of five photos one is 384 x 272; the class images' squares lose 3 parts of 10 beside it."""
    monkeypatch.setattr(buckets, "MAX_CUT", most)
    costs(lambda **_: cost(launch=1.0, picture=0.0))
    plan = make_plan(ready_project, tiny_base)  # a photo and a class image a step
    assert plan.estimate.seconds_per_step == pytest.approx(launches)


def test_states_are_saved_as_often_as_the_disk_allows(ready_project, tiny_base, costs, monkeypatch):
    monkeypatch.setattr(planner, "seconds_between_saves", lambda decisions, parameters: 240.0)
    costs(lambda **_: cost(picture=1.0))  # a step takes two seconds
    assert make_plan(ready_project, tiny_base).save_every_n_steps == 120
    monkeypatch.setattr(planner, "seconds_between_saves", lambda decisions, parameters: 1e6)
    plan = make_plan(ready_project, tiny_base)
    assert plan.save_every_n_steps == plan.steps


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.floats(1, 5000), launch=st.floats(0, 0.5), picture=st.floats(0.001, 1),
    shot=st.floats(0.01, 5), encode=st.floats(0, 0.2), spent=st.floats(0, 60),
    after=st.integers(0, 60), smaller=st.floats(0.1, 1),
)  # fmt: skip
def test_the_least_budget_that_is_named_is_one_that_works(
    ready_project, tiny_base, costs, whole, launch, picture, shot, encode, spent, after, smaller
):
    """For any machine and any budget: either all fits, or the budget that is named does."""
    costs(
        lambda pixels, **_: cost(launch, picture * (1 if pixels == 64 else smaller), encode=encode),
        shot=shot,
        closing=1.0,
    )

    def within(seconds, spent):
        budget = Budget(seconds, lambda: seconds - spent, after, 1.0)
        count = class_images_within(ready_project, tiny_base, budget)
        left = seconds - spent - count * shot
        budget = Budget(seconds, lambda: left, after, 1.0)
        plan = make_plan(ready_project, tiny_base, budget=budget)
        used = spent + (count + after) * shot + 1.0 + plan.estimate.seconds
        assert used <= seconds + 0.1
        return plan

    try:
        within(whole, spent)
    except TimeBudgetError as error:
        named = float(str(error).split("Give ")[1].split("s or more")[0])
        assert named > whole
        within(named, spent)
        with pytest.raises(TimeBudgetError):
            within(0.9 * named - 5, spent)


def test_a_budget_counts_what_is_spent_only_when_it_is_asked(ready_project, tiny_base, costs):
    """Measuring takes time, too: it is over when what is left is asked for."""
    clock = SimpleNamespace(left=1000.0)

    def measured(**_):
        clock.left = 300.0
        return cost()

    costs(measured)
    plan = make_plan(ready_project, tiny_base, budget=Budget(1000, lambda: clock.left))
    assert plan.estimate.seconds <= 300


@pytest.mark.parametrize(("fit", "pixels", "parts"), [(9, 64, 1), (1, 64, 2), (0, 48, 1)])
def test_little_memory_splits_the_batch_then_takes_the_size(
    ready_project, tiny_base, costs, fit, pixels, parts
):
    costs(lambda pixels, **_: cost(picture=0.1, most=fit if pixels == 64 else 2))
    plan = make_plan(ready_project, tiny_base)
    assert (plan.resolution, plan.effective_batch_size, plan.gradient_accumulation_steps) == (
        pixels,
        2,
        parts,
    )
    assert plan.estimate.bytes == int(2**20 + OVERHEAD * (16_000 + 2**20 * 2 / parts))


def test_blocks_are_computed_twice_before_the_size_gives_way(ready_project, tiny_base, costs):
    costs(lambda checkpointing, **_: cost(most=2 * checkpointing, checkpointing=checkpointing))
    plan = make_plan(ready_project, tiny_base)
    assert (plan.resolution, plan.gradient_checkpointing) == (64, True)


def test_no_room_for_a_single_picture_is_said(ready_project, tiny_base, costs):
    costs(lambda **_: cost(most=0, resident=2**33))
    with pytest.raises(InsufficientMemoryError, match=r"One image of 32 px takes 8\.0 GiB"):
        make_plan(ready_project, tiny_base)


def test_every_number_that_was_chosen_has_its_reason(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base)
    reasons = read_reasons(ready_project.plan_file)
    assert set(reasons) >= set(plan.model_dump(exclude={"estimate", "inputs", "asked"}))
    assert "7 of 7 class images will be seen" in reasons["class_image_ratio"]


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
