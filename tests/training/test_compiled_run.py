"""Runs whose plan says torch_compile; the compiler is the quick one that writes no kernels."""

import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from packshot.errors import InvalidPlanError
from packshot.models import compiled_blocks
from packshot.plan import read_plan, write_plan
from packshot.training import CompileFailed, Done, Resumed, Sample, Step, train


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch, planned_project):
    parts = compiled_blocks.parts_to_offload  # a few of them, for each takes a while
    monkeypatch.setattr(compiled_blocks, "parts_to_offload", lambda blocks: parts(blocks)[:3])
    monkeypatch.setattr(compiled_blocks, "BACKEND", "eager")
    plan = read_plan(planned_project.plan_file)
    told = {"torch_compile": True, "steps": 4, "sample_every_n_steps": 4}
    write_plan(plan.model_copy(update=told), planned_project.plan_file)
    yield
    torch.compiler.reset()


@pytest.mark.slow
def test_a_compiled_run_that_is_stopped_ends_with_the_same_bits(planned_project, tiny_base):
    """And what it learns is what a plain one does; samples, of other shapes, are not compiled."""
    counters.clear()
    events = list(train(planned_project, tiny_base))
    assert counters["stats"]["unique_graphs"] > 1
    assert any(isinstance(event, Sample) for event in events)
    assert not any(isinstance(event, CompileFailed) for event in events)
    whole = planned_project.lora_file.read_bytes()
    shutil.rmtree(planned_project.runs_folder)
    asked = iter([False, True])
    list(train(planned_project, tiny_base, should_stop=lambda: next(asked)))
    events = list(train(planned_project, tiny_base))
    assert isinstance(events[-1], Done) and any(isinstance(event, Resumed) for event in events)
    assert planned_project.lora_file.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 3])
def test_where_compiling_fails_it_is_said_and_the_step_done_without(
    planned_project, tiny_base, monkeypatch, moment
):
    calls = []

    def breaks(graph, _):
        calls.append(graph)
        if len(calls) >= moment:
            raise ValueError("no such instruction")
        return graph.forward

    def run(backend):
        monkeypatch.setattr(compiled_blocks, "BACKEND", backend)
        shutil.rmtree(planned_project.runs_folder, ignore_errors=True)
        events = list(train(planned_project, tiny_base))
        steps = [event.loss for event in events if isinstance(event, Step)]
        return steps, [event for event in events if isinstance(event, CompileFailed)]

    expected, none = run("eager")
    steps, (failed,) = run(breaks)
    assert not none and steps == pytest.approx(expected, rel=1e-5)
    assert failed == CompileFailed(0, "ValueError: no such instruction") and len(calls) == moment


def test_without_a_compiler_it_is_said_and_nothing_is_compiled(
    planned_project, tiny_base, monkeypatch
):
    monkeypatch.setattr("packshot.training.loop.missing_compiler", lambda device: "no compiler")
    counters.clear()
    events = list(train(planned_project, tiny_base))
    failed = [event for event in events if isinstance(event, CompileFailed)]
    assert [event.reason for event in failed] == ["no compiler"]
    assert isinstance(events[-1], Done) and not counters["stats"]["unique_graphs"]


def test_a_plan_that_compiles_quantised_weights_is_refused(planned_project):
    file = planned_project.plan_file
    text = file.read_text().replace('weight_storage = "full"', 'weight_storage = "int8"')
    file.write_text(text)
    with pytest.raises(
        InvalidPlanError, match="torch_compile is for weight_storage full; with int8"
    ):
        read_plan(file)
