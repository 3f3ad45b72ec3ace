"""Whether a run compiles, by times that are given."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from packshot.decisions import Decisions
from packshot.models import compiled_blocks
from packshot.plan import compile_gain
from packshot.plan.compile_gain import (
    CompileCase,
    CompileCost,
    choose_compile,
    gain_of,
    measure_compiling,
)

WORK = CompileCase(
    pixels=64, targets="attention", rank=2, at_once=1, accumulation=1, checkpointing=False,
    text_rank=0, steps=1000, step_seconds=1.0, shapes=2,
)  # fmt: skip


@pytest.fixture
def on_gpu(monkeypatch):
    """A base on a GPU where one can compile, and a count of trials, each with these times."""

    def make(plain=1.0, compiled=0.75, compiling=60.0):
        tried = []

        def measure(base, work):
            tried.append(work)
            return CompileCost(plain, compiled, compiling), "measured"

        monkeypatch.setattr(compile_gain, "measure_compiling", measure)
        return tried

    monkeypatch.setattr(compile_gain, "missing_compiler", lambda device: None)
    monkeypatch.setattr("packshot.plan.calibration.device_name", lambda device: "a GPU")
    base = SimpleNamespace(
        weight_storage="full", device=torch.device("cuda"), content_hash="0" * 12, dtype="bf16"
    )
    return base, make


def test_it_pays_if_it_saves_one_and_a_half_times_what_it_costs():
    cost = CompileCost(plain_seconds=1.0, compiled_seconds=0.75, compile_seconds=60.0)
    gain = gain_of(cost, WORK)  # 250 s against 120 s
    assert gain.is_on and gain.seconds == 130 and gain.step_seconds == 0.25
    assert gain.why == "saves about 250 s of steps and costs 120 s"
    assert not gain_of(cost, replace(WORK, steps=720)).is_on, "180 s is not more than 1.5 x 120 s"
    assert gain_of(cost, replace(WORK, steps=724)).is_on
    assert not gain_of(cost, replace(WORK, shapes=3)).is_on
    assert gain_of(cost, replace(WORK, steps=362, accumulation=2)).is_on
    slower = gain_of(replace(cost, compiled_seconds=1.1), WORK)
    assert not slower.is_on and slower.seconds == slower.step_seconds == 0
    assert not gain_of(CompileCost(0, 0, 0), WORK).is_on, "it failed"


def test_it_is_tried_once_and_decided_by_the_length_of_the_run(on_gpu, ready_project):
    base, make = on_gpu
    tried, decisions = make(), Decisions(ready_project)
    assert choose_compile(base, decisions, WORK).is_on
    assert not choose_compile(base, decisions, replace(WORK, steps=500)).is_on
    assert choose_compile(base, Decisions(ready_project), WORK).is_on and len(tried) == 1
    assert choose_compile(base, decisions, replace(WORK, at_once=2)).is_on and len(tried) == 2
    assert choose_compile(base, decisions, WORK, anew=True).is_on and len(tried) == 3


@pytest.mark.parametrize(
    ("change", "options", "why"),
    [
        ({"weight_storage": "int8"}, {}, "for bases whose weights are stored in full"),
        ({"weight_storage": "offload"}, {}, "for bases whose weights are stored in full"),
        ({"device": torch.device("cpu")}, {}, "off on a CPU"),
        ({}, {"spare_seconds": 100.0}, "off: the run is too short"),
        ({}, {"steps": 149}, "off: the run is too short"),
    ],
)
def test_it_is_not_even_tried_where_it_cannot_pay(on_gpu, ready_project, change, options, why):
    base, make = on_gpu
    tried = make()
    for name, value in change.items():
        setattr(base, name, value)
    work = replace(WORK, steps=options.pop("steps", WORK.steps))
    gain = choose_compile(base, Decisions(ready_project), work, **options)
    assert not gain.is_on and gain.why.startswith(why) and not tried


def test_without_a_compiler_it_is_off_and_said(on_gpu, ready_project, monkeypatch):
    base, make = on_gpu
    tried = make()
    monkeypatch.setattr(compile_gain, "missing_compiler", lambda device: "no triton")
    gain = choose_compile(base, Decisions(ready_project), WORK)
    assert gain.why == "off: no triton" and not gain.is_on and not tried


def test_a_trial_is_timed_on_real_steps_and_one_that_fails_takes_forever(tiny_base, monkeypatch):
    parts = compiled_blocks.parts_to_offload
    monkeypatch.setattr(compiled_blocks, "parts_to_offload", lambda blocks: parts(blocks)[:3])
    work, taken = replace(WORK, targets="cross-attention"), []

    def timed(base, step):
        step()
        taken.append(1.0 if not taken else 0.5)
        return taken[-1]

    monkeypatch.setattr(compile_gain, "median_seconds", timed)
    monkeypatch.setattr(compiled_blocks, "BACKEND", "eager")
    monkeypatch.setattr(compile_gain, "perf_counter", iter([10.0, 17.5]).__next__)
    cost, why = measure_compiling(tiny_base, work)
    assert cost == CompileCost(1.0, 0.5, 7.0) and "0.5 s compiled in 7.5 s" in why

    def broken(graph, inputs):
        raise ValueError("no such instruction")

    monkeypatch.setattr(compiled_blocks, "BACKEND", broken)
    monkeypatch.setattr(compile_gain, "perf_counter", lambda: 0.0)
    cost, why = measure_compiling(tiny_base, work)
    assert cost == CompileCost(0, 0, 0) and "failed" in why
    assert not any(one._compiled_call_impl for one in tiny_base.denoiser.modules())
