"""What a step and a run cost, and what of it fits the memory."""

import pytest

from packshot.errors import InsufficientMemoryError
from packshot.images import buckets
from packshot.models.device_memory import OVERHEAD
from packshot.plan import make_plan, run_cost
from tests.plan.conftest import cost


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
    monkeypatch.setattr(run_cost, "seconds_between_saves", lambda decisions, parameters: 240.0)
    costs(lambda **_: cost(picture=1.0))  # a step takes two seconds
    assert make_plan(ready_project, tiny_base).save_every_n_steps == 120
    monkeypatch.setattr(run_cost, "seconds_between_saves", lambda decisions, parameters: 1e6)
    plan = make_plan(ready_project, tiny_base)
    assert plan.save_every_n_steps == plan.steps


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
