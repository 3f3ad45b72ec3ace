"""What is made of measured times: the arithmetic, what is measured once, and what it holds for."""

from types import SimpleNamespace

import pytest
import torch

from packshot.decisions import Decisions
from packshot.errors import DiskFullError
from packshot.models.device_memory import OVERHEAD
from packshot.models.diffusion_model import DiffusionModel
from packshot.plan import calibration
from packshot.plan.calibration import (
    StepCost,
    seconds_between_saves,
    shot_seconds,
    step_cost,
    threads_for,
)

COST = StepCost(0.5, 0.25, 0.1, 2**30, 1000, 2**20, 8)


@pytest.fixture
def base():
    made = SimpleNamespace(
        content_hash="ab" * 32, weight_storage="full", dtype=torch.float32, device=torch.device("cpu"),
        native_pixels=64, is_guidance_distilled=False, unguided_scale=1.0, pipeline=lambda: None,
        count_passes=lambda scale: DiffusionModel.count_passes(made, scale),
        sampler=SimpleNamespace(name="Euler", steps=10, guidance_scale=5.0),
        decode_latents=lambda latents: latents,
    )  # fmt: skip
    return made


def test_a_trial_batchs_timesteps_are_found_on_the_cpu(base):
    """Apple's GPUs know no normal quantiles, which those of the flow families are."""
    base.device, asked = torch.device("meta"), []
    base.empty_conditioning = lambda size: {}
    base.schedule = SimpleNamespace(timesteps_at=lambda shares, _: asked.append(shares) or shares)
    batch = calibration.random_batch(base, torch.zeros(1, 4, 8, 8, device="meta"), 4)
    assert [shares.tolist() for shares in asked] == [[0.125, 0.375, 0.625, 0.875]]
    assert batch.timesteps.device.type == "meta"


@pytest.fixture
def decisions(project):
    return Decisions(project)


def test_a_step_costs_its_launches_and_its_pictures():
    assert COST.seconds(4) == 0.5 + 4 * 0.25 and COST.seconds(4, 3) == 3 * 0.5 + 4 * 0.25
    assert COST.bytes(0) == int(2**30 + OVERHEAD * 16_000)
    assert COST.bytes(3) == int(2**30 + OVERHEAD * (16_000 + 3 * 2**20))


def test_times_are_medians_after_one_for_warming_up(base, monkeypatch):
    taken = iter([100.0, 1.0, 5.0, 2.0])
    now = [0.0]
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: now[0])

    def work():
        now[0] += next(taken)

    assert calibration.median_seconds(base, work) == 2.0 and next(taken, None) is None


def test_slow_work_is_timed_once(base, monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: now[0])

    def work():
        calls.append(1)
        now[0] += 3.0

    assert calibration.median_seconds(base, work) == 3.0 and len(calls) == 2


def test_a_step_is_measured_once_for_each_of_what_it_depends_on(base, decisions, monkeypatch):
    calls = []

    def calibrate(base, **asked):
        calls.append(asked)
        return StepCost(len(calls), 0.25, 0.1, 2**30, 1000, 2**20, 8)

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    monkeypatch.setattr(calibration, "threads_for", lambda base, decisions: 1)
    asked = {"pixels": 64, "targets": "attention", "rank": 2, "batch": 4}
    first = step_cost(base, decisions, **asked)
    assert step_cost(base, decisions, **asked) == first and len(calls) == 1
    others = (
        {"pixels": 32},
        {"targets": "all"},
        {"rank": 3},
        {"batch": 2},
        {"checkpointing": True},
    )
    for change in (*others, {"text_rank": 2}):
        step_cost(base, decisions, **(asked | change))
    assert len(calls) == 7
    base.weight_storage = "int8"
    step_cost(base, decisions, **asked)
    assert step_cost(base, decisions, anew=True, **asked).launch_seconds == 9
    base.weight_storage = "full"
    assert step_cost(base, decisions, **asked) == first


@pytest.mark.parametrize(
    ("changes", "guidance", "passes"),
    [
        ({}, 5.0, 2),
        ({}, 1.0, 1),
        ({"unguided_scale": 0.0}, 1.0, 2),  # Z-Image's
        ({"is_guidance_distilled": True}, 5.0, 1),
    ],
)
def test_a_shot_takes_its_steps_and_passes_and_decoding(
    base, decisions, monkeypatch, changes, guidance, passes
):
    vars(base).update(changes)
    base.sampler.guidance_scale = guidance
    sizes = []
    monkeypatch.setattr(calibration, "blank_latents", lambda base, pixels: None)
    monkeypatch.setattr(calibration, "random_batch", lambda base, latents, size: sizes.append(size))
    seconds = iter([2.0, 0.5])  # of a pass, of decoding
    monkeypatch.setattr(calibration, "median_seconds", lambda base, work: next(seconds))
    expected = 10 * 2.0 / calibration.SHOTS_AT_ONCE + 0.5
    assert shot_seconds(base, decisions) == expected == shot_seconds(base, decisions)
    assert sizes == [calibration.SHOTS_AT_ONCE * passes]


def test_threads_are_settled_once_and_set_each_time(base, decisions, monkeypatch):
    monkeypatch.setattr(calibration, "blank_latents", lambda base, pixels: None)
    monkeypatch.setattr(calibration, "random_batch", lambda base, latents, size: None)
    asked = []
    monkeypatch.setattr(
        calibration, "choose_cpu_threads", lambda work: asked.append(1) or (2, "why")
    )
    assert threads_for(base, decisions) == 2
    torch.set_num_threads(1)
    assert threads_for(base, decisions) == 2 == torch.get_num_threads() and len(asked) == 1
    base.device = torch.device("cuda")
    assert threads_for(base, decisions) == 0 and torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("parameters", "seconds", "between"),
    [
        (1000, 0.01, 30),  # a small LoRA's state is soon written
        (1000, 0.9, 45),
        (65_000_000, 6, 300),  # FLUX's, on a disk of 130 MB/s
    ],
)
def test_states_are_saved_so_rarely_that_it_takes_two_percent(
    decisions, monkeypatch, parameters, seconds, between
):
    now, written, hashed, real = [0.0], [], [], calibration.files.write_parts

    def write(path, parts):
        if path == decisions.file:
            return real(path, parts)
        written.append(sum(map(len, parts)))
        now[0] += seconds

    monkeypatch.setattr(calibration.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(calibration.files, "write_parts", write)
    monkeypatch.setattr(
        calibration.hashing, "sha256_of", lambda *parts: hashed.append(sum(map(len, parts)))
    )
    for _ in range(2):  # measured once
        assert seconds_between_saves(decisions, parameters) == pytest.approx(between)
    assert written == hashed and len(written) == 1
    assert written[0] == pytest.approx(12 * parameters, rel=0.1)


def test_of_a_trial_of_the_disk_nothing_stays(decisions, monkeypatch):
    assert seconds_between_saves(decisions, 1000) >= 30
    assert [file.name for file in decisions.file.parent.iterdir() if "saving" in file.name] == []

    def full(*_):
        raise DiskFullError("No room")

    monkeypatch.setattr(calibration.files, "write_parts", full)
    with pytest.raises(DiskFullError):
        seconds_between_saves(decisions, 2000)
    assert [file.name for file in decisions.file.parent.iterdir() if "saving" in file.name] == []


def test_what_is_free_is_asked_with_the_base_as_it_learns(tiny_base, monkeypatch):
    """Encoders are away then, and a denoiser that takes turns is there."""
    from contextlib import contextmanager

    order = []

    @contextmanager
    def away(device, *, text=True):
        order.append(("away", text))
        yield
        order.append("back")

    monkeypatch.setattr(tiny_base, "encoders_moved_to", away)
    monkeypatch.setattr(tiny_base, "bring_denoiser", lambda: order.append("denoiser"))
    monkeypatch.setattr(calibration, "left_beside", lambda device: order.append("free") or 2**30)
    assert calibration.step_fits(tiny_base)
    assert order == [("away", True), "denoiser", "free", "back"]
