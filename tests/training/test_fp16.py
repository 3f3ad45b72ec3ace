"""Training in fp16: it learns what fp32 does, skips what overflows, and resumes exactly."""

import os
import shutil
import signal
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from packshot.errors import StaleRunError, TrainingDivergedError
from packshot.models import load_base
from packshot.plan import read_plan
from packshot.project import open_project
from packshot.training import Done, Resumed, Step, StepSkipped, Stopped, train
from packshot.training import optimizer as training_optimizer
from packshot.training import step as training_step
from packshot.training.events import read_events
from packshot.training.loss_scale import FIRST, LossScale
from tests.lives import killed_at, lives
from tests.projects import samples_in_two_steps
from tests.training.test_loop import edit, events_of, lora_bytes


@pytest.fixture
def narrow_base(tiny_sd1):
    return _load(tiny_sd1)


def _load(folder):
    return samples_in_two_steps(load_base(folder, device="cpu", dtype=torch.float16))


@pytest.fixture
def narrow_project(planned_project):
    """Ready to be trained in fp16."""
    edit(planned_project, precision="fp16", sample_every_n_steps=0)
    return planned_project


@pytest.mark.slow
def test_it_learns_what_fp32_does(narrow_project, narrow_base, tiny_base):
    told = {"learning_rate": 1e-3, "lr_scheduler": "constant", "steps": 8, "rank": 4, "alpha": 4}
    losses, moved = {}, {}
    for precision, base in (("fp16", narrow_base), ("fp32", tiny_base)):
        edit(narrow_project, precision=precision, **told)
        steps = [e for e in events_of(narrow_project, base) if isinstance(e, Step)]
        losses[precision] = torch.tensor([step.loss for step in steps])
        moved[precision] = _products(load_file(narrow_project.diffusers_lora_file))
    assert len(losses["fp16"]) == 8
    assert torch.allclose(losses["fp16"], losses["fp32"], rtol=2e-3)
    alike = torch.nn.functional.cosine_similarity(moved["fp16"], moved["fp32"], dim=0)
    assert alike > 0.99
    assert moved["fp16"].dtype == torch.float32


def _products(lora):
    """All of a LoRA's up @ down, as one vector."""
    downs = {k: v for k, v in lora.items() if "lora_A" in k or "lora.down" in k}
    assert downs
    ups = {k: lora[k.replace("lora_A", "lora_B").replace("lora.down", "lora.up")] for k in downs}
    return torch.cat([(ups[k].flatten(1) @ downs[k].flatten(1)).flatten() for k in sorted(downs)])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_overflows_is_skipped_and_the_scale_halved(
    narrow_project, narrow_base, monkeypatch, bad
):
    edit(narrow_project, save_every_n_steps=1)
    _poison(monkeypatch, {4}, bad)
    events = events_of(narrow_project, narrow_base)
    steps = [event for event in events if isinstance(event, Step | StepSkipped)]
    assert [type(step) for step in steps] == [Step] * 3 + [StepSkipped] + [Step] * 2
    assert steps[3] == StepSkipped(4, 6, FIRST / 2, 1) and isinstance(events[-1], Done)
    last = narrow_project.runs()[-1] / "checkpoints" / "0000006" / "optimizer.safetensors"
    state = load_file(last)
    assert LossScale.of(state.pop("loss_scale")) == LossScale(FIRST / 2, 2, 0)
    assert {float(value) for key, value in state.items() if key.endswith("/step")} == {5.0}


@pytest.mark.slow
def test_nothing_is_learnt_in_a_skipped_step(narrow_project, narrow_base, monkeypatch):
    edit(narrow_project, save_every_n_steps=1, steps=4)
    _poison(monkeypatch, {4})
    events_of(narrow_project, narrow_base)
    places = narrow_project.runs()[-1] / "checkpoints"
    before, after = (load_file(places / f"{n:07d}" / "adapter.safetensors") for n in (3, 4))
    assert all(torch.equal(before[key], after[key]) for key in before)


def _poison(monkeypatch, steps, bad=float("inf")):
    """Makes the losses of some steps infinite, by the number of their first slot."""
    real, now = training_step.per_image_loss, []
    begin = training_step.reseed

    def reseed(seed, first):
        now[:] = [first // 4 + 1]
        begin(seed, first)

    def poisoned(*args):
        return real(*args) * (bad if now[0] in steps else 1.0)

    monkeypatch.setattr(training_step, "reseed", reseed)
    monkeypatch.setattr(training_step, "per_image_loss", poisoned)


def test_gradients_that_never_fit_end_the_run(narrow_project, narrow_base, monkeypatch):
    monkeypatch.setattr(training_step, "MOST_SKIPPED", 4)
    edit(narrow_project, steps=40)
    _poison(monkeypatch, set(range(3, 41)))
    with pytest.raises(
        TrainingDivergedError,
        match=r"fp16 is too narrow .* of 4 steps in a row .* precision to \"fp32\" in plan\.toml and in",
    ):
        events_of(narrow_project, narrow_base)
    steps = [type(event) for event in read_events(narrow_project.runs()[-1])]
    assert steps.count(StepSkipped) == 3 and steps.count(Step) == 2


def test_a_short_run_that_never_learnt_makes_no_lora(narrow_project, narrow_base, monkeypatch):
    _poison(monkeypatch, set(range(1, 7)))
    for _ in range(2):  # also what resumes it
        with pytest.raises(TrainingDivergedError, match="of 6 steps in a row"):
            events_of(narrow_project, narrow_base)
        assert not narrow_project.lora_file.exists()


@pytest.mark.slow
def test_a_scale_that_is_too_great_is_found_smaller(narrow_project, narrow_base, monkeypatch):
    """Here gradients truly overflow, and the losses are finite."""
    first = 2.0**31
    monkeypatch.setattr(training_optimizer, "LossScale", partial(LossScale, first))
    edit(narrow_project, steps=12)
    told = [e for e in events_of(narrow_project, narrow_base) if isinstance(e, Step | StepSkipped)]
    skipped = [step for step in told if isinstance(step, StepSkipped)]
    assert 1 < len(skipped) < 12 and told[: len(skipped)] == skipped
    assert [step.loss_scale for step in skipped] == [
        first / 2**n for n in range(1, len(skipped) + 1)
    ]
    assert all(step.loss > 0 for step in told[len(skipped) :])


@pytest.mark.slow
def test_stopping_and_going_on_is_bit_identical(narrow_project, narrow_base, monkeypatch):
    """Of a run whose scale changed before."""
    _poison(monkeypatch, {2})
    events_of(narrow_project, narrow_base)
    whole = lora_bytes(narrow_project)
    shutil.rmtree(narrow_project.runs_folder)
    shutil.rmtree(narrow_project.lora_folder)
    asked = iter([False, False, True])
    assert isinstance(
        events_of(narrow_project, narrow_base, should_stop=lambda: next(asked))[-1], Stopped
    )
    events = events_of(narrow_project, narrow_base)
    assert Resumed in map(type, events) and lora_bytes(narrow_project) == whole
    last = narrow_project.runs()[-1] / "checkpoints" / "0000006" / "optimizer.safetensors"
    assert LossScale.of(load_file(last)["loss_scale"]) == LossScale(FIRST / 2, 4, 0)


def _life(base, root, moment):
    killed_at(moment, (os, "replace"), (training_step, "per_image_loss"))
    for _ in train(open_project(root), base):
        pass


@pytest.mark.slow
def test_kills_end_bit_identical(narrow_project, narrow_base, tiny_sd1):
    edit(narrow_project, steps=5, save_every_n_steps=1)
    events_of(narrow_project, narrow_base)
    whole = lora_bytes(narrow_project)
    shutil.rmtree(narrow_project.runs_folder)
    shutil.rmtree(narrow_project.lora_folder)
    with lives(_load, tiny_sd1) as started:
        for moment in (9, 14):
            assert started.start(_life, narrow_project.root, moment) == -signal.SIGKILL
        assert started.start(_life, narrow_project.root, None) == 0
    assert lora_bytes(narrow_project) == whole


def test_a_plan_for_fp32_is_not_carried_out_in_fp16(narrow_project, narrow_base):
    edit(narrow_project, precision="fp32")
    with pytest.raises(StaleRunError, match=r"for fp32, and .* fp16\. Set precision to \"fp16\""):
        events_of(narrow_project, narrow_base)
    assert read_plan(narrow_project.plan_file).precision == "fp32"
