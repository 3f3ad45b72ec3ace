"""What is planned, given what a step costs."""

import pytest

from packshot.errors import BudgetTooSmall, MemoryTooSmall, PhotosRefused, PlanInvalid
from packshot.plan import make_plan, planner, read_plan, read_reasons
from packshot.plan.calibration import StepCost, calibrate
from packshot.project import new


@pytest.fixture
def costs(monkeypatch):
    """Steps cost a second at 64 px and less at smaller sizes; nothing else costs anything."""

    def fake(base, *, pixels, targets, rank, batch, checkpointing=False, text_rank=0):
        return StepCost(0, pixels**2 / 64**2 / batch, 0, 0, 2**20, 1000, 2**20, 100)

    monkeypatch.setattr(planner, "calibrate", fake)
    monkeypatch.setattr(planner, "CLOSING_SECONDS", 0.0)


def test_without_a_budget_the_whole_recipe_is_planned(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base)
    assert plan.steps * plan.batch * (1 - plan.class_image_share) == 600, "five photos' exposures"
    assert plan.pixels == 64 and plan.predicted.seconds == plan.steps
    assert plan == read_plan(ready_project.plan_file)


def test_exposures_give_way_before_the_size(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base, budget_seconds=300)
    assert (plan.steps, plan.pixels) == (300, 64)
    assert plan.predicted.seconds <= 300


def test_then_the_size_gives_way(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base, budget_seconds=100)
    assert plan.pixels == 48 and plan.predicted.seconds <= 100
    assert "to fit the time" in read_reasons(ready_project.plan_file)["pixels"]


def test_too_small_a_budget_names_the_least(ready_project, tiny_base, costs):
    with pytest.raises(
        BudgetTooSmall, match=r"10 s of training are too few.*about 38 s.*150 steps"
    ):
        make_plan(ready_project, tiny_base, budget_seconds=10)
    assert make_plan(ready_project, tiny_base, budget_seconds=38).steps >= 150


def test_shots_to_come_are_left_time_for(ready_project, tiny_base, monkeypatch, costs):
    slow = StepCost(0, 0.25, 0.01, 0, 2**20, 1000, 2**20, 100)
    monkeypatch.setattr(planner, "calibrate", lambda *a, **k: slow)
    alone = make_plan(ready_project, tiny_base, budget_seconds=300)
    busy = make_plan(ready_project, tiny_base, budget_seconds=300, shots_after=100)
    assert alone.steps - busy.steps == pytest.approx(100 * 40 * 0.01 / 0.5, abs=1)


@pytest.mark.parametrize(("fit", "pixels", "parts"), [(9, 64, 1), (1, 64, 2), (0, 48, 1)])
def test_little_memory_splits_the_batch_then_takes_the_size(
    ready_project, tiny_base, monkeypatch, fit, pixels, parts
):
    def cost(base, *, pixels, **_):
        return StepCost(0.1, 0.1, 0, 0, 2**20, 1000, 2**20, fit if pixels == 64 else 2)

    monkeypatch.setattr(planner, "calibrate", cost)
    plan = make_plan(ready_project, tiny_base)
    assert (plan.pixels, plan.batch, plan.accumulation) == (pixels, 2, parts)
    assert plan.predicted.seconds_per_step == pytest.approx(0.1 * parts + 0.2)
    assert plan.predicted.bytes == 2**20 + 16_000 + 1.25 * 2**20 * 2 / parts


def test_blocks_are_computed_twice_before_the_size_gives_way(ready_project, tiny_base, monkeypatch):
    def cost(base, *, pixels, checkpointing=False, **_):
        fit = 2 if checkpointing else 0
        return StepCost(0.1, 0.1, 0, 0, 2**20, 1000, 2**20, fit, checkpointing=checkpointing)

    monkeypatch.setattr(planner, "calibrate", cost)
    plan = make_plan(ready_project, tiny_base)
    assert (plan.pixels, plan.gradient_checkpointing) == (64, True)


def test_no_room_for_a_single_picture_is_said(ready_project, tiny_base, monkeypatch):
    nothing = StepCost(0, 1, 0, 0, 2**33, 1000, 2**20, 0)
    monkeypatch.setattr(planner, "calibrate", lambda *a, **k: nothing)
    with pytest.raises(MemoryTooSmall, match=r"One picture of 32 px takes 8\.0 GiB"):
        make_plan(ready_project, tiny_base)


def test_every_number_that_was_chosen_has_its_reason(ready_project, tiny_base, costs):
    plan = make_plan(ready_project, tiny_base)
    reasons = read_reasons(ready_project.plan_file)
    own_words = {"warmup_steps", "weight_decay", "max_gradient_norm"}
    assert set(reasons) | own_words >= set(plan.model_dump(exclude={"predicted", "depends"}))
    assert "7 of 7 class images will be seen" in reasons["class_image_share"]


def test_wishes_override_the_recipe(ready_project, tiny_base, costs):
    plan = make_plan(
        ready_project, tiny_base, targets="cross-attention", rank=3, class_image_share=0.0
    )
    assert (plan.targets, plan.rank, plan.class_image_share) == ("cross-attention", 3, 0.0)


@pytest.mark.parametrize("budget", [0, -5])
def test_no_time_is_no_budget(ready_project, tiny_base, budget):
    with pytest.raises(PlanInvalid, match="must be more than nothing"):
        make_plan(ready_project, tiny_base, budget_seconds=budget)


def test_text_encoders_learn_only_where_it_was_asked_for(ready_project, tiny_base, monkeypatch):
    asked = []

    def fake(base, *, text_rank, **given):
        asked.append(text_rank)
        return StepCost(0, 1, 0, 0, 2**20, 1000, 2**20, 100)

    monkeypatch.setattr(planner, "calibrate", fake)
    assert make_plan(ready_project, tiny_base).text_encoder_rank == 0
    plan = make_plan(ready_project, tiny_base, text_encoder=True)
    assert plan.text_encoder_rank == plan.rank and asked == [0, plan.rank]
    assert plan.text_encoder_learning_rate == plan.learning_rate / 2
    assert "text encoders" in read_reasons(ready_project.plan_file)["text_encoder_rank"]


def test_calibration_with_text_encoders_costs_more_and_leaves_them_alone(tiny_base):
    names = [name for name, _ in tiny_base.text_encoder.named_modules()]
    asked = {"pixels": 64, "targets": "attention", "rank": 4, "batch": 2}
    plain, both = calibrate(tiny_base, **asked), calibrate(tiny_base, **asked, text_rank=4)
    assert [name for name, _ in tiny_base.text_encoder.named_modules()] == names
    reader = tiny_base.text_encoder
    layers = [reader.get_submodule(n) for n in tiny_base.text_targets()["text_encoder"]]
    sides = sum(layer.in_features + layer.out_features for layer in layers)
    assert both.adapter_parameters - plain.adapter_parameters == 4 * sides
    assert both.saved_bytes_per_picture > plain.saved_bytes_per_picture


def test_no_photos_is_said(tmp_path, tiny_base):
    project = new(tmp_path / "p", name="A", class_noun="car")
    with pytest.raises(PhotosRefused, match="packshot photos FOLDER"):
        make_plan(project, tiny_base)


def test_calibration_measures_this_machine_and_leaves_the_base_alone(tiny_base):
    names = [name for name, _ in tiny_base.denoiser.named_modules()]
    cost = calibrate(tiny_base, pixels=64, targets="attention", rank=4, batch=4)
    assert [name for name, _ in tiny_base.denoiser.named_modules()] == names
    modules = [tiny_base.denoiser.get_submodule(n) for n in tiny_base.lora_targets("attention")]
    sides = [m.in_features + m.out_features for m in modules]
    assert cost.adapter_parameters == 4 * sum(sides)
    assert cost.seconds(4) > 0 and cost.forward_seconds > 0
    assert cost.saved_bytes_per_picture > 2**16
    assert cost.bytes(8) - cost.bytes(4) == pytest.approx(
        5 * cost.saved_bytes_per_picture, rel=1e-3
    )
