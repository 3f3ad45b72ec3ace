"""The loop as its users meet it: exact resume after kills, refusals, and settings that are alive."""

import json
import os
import random
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from packshot.errors import (
    InvalidPlanError,
    LoraError,
    ProjectError,
    StaleRunError,
)
from packshot.generation.generate import GenerationSettings, generate_images
from packshot.lora import files as lora_files
from packshot.lora import load_lora
from packshot.models import load_base
from packshot.plan import read_plan
from packshot.plan.assistant import load_assistant
from packshot.plan.inputs import current_inputs
from packshot.project import open_project
from packshot.provenance import Marking
from packshot.training import (
    CachingLatents,
    Done,
    Resumed,
    Sample,
    StateSaved,
    Step,
    Stopped,
    learning,
    optimizer,
    train,
)
from packshot.training import step as training_step
from packshot.training.events import read_events
from packshot.utils import caches, reading
from tests.lives import killed_at, lives
from tests.projects import edit, samples_in_two_steps


def events_of(project, base, **options):
    return list(train(project, base, **options))


def kinds(events):
    return [type(event) for event in events if not isinstance(event, CachingLatents)]


def lora_bytes(project):
    return project.lora_file.read_bytes(), project.diffusers_lora_file.read_bytes()


@pytest.mark.slow
def test_a_run_tells_its_story_and_leaves_both_files(planned_project, tiny_base):
    events = events_of(planned_project, tiny_base)
    plan = read_plan(planned_project.plan_file)
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.step for step in steps] == list(range(1, plan.steps + 1))
    assert all(step.instance_loss and step.class_loss for step in steps)
    done = events[-1]
    assert isinstance(done, Done) and done.lora_file.exists() and done.diffusers_lora_file.exists()
    assert done.peak_bytes > 2**20
    samples = [event for event in events if isinstance(event, Sample)]
    assert samples and all(file.exists() for sample in samples for file in sample.files)
    log = reading.read_json_lines(planned_project.runs()[-1] / "events.jsonl")
    assert [line["step"] for line in log if line["kind"] == "step"] == [s.step for s in steps]


@pytest.mark.slow
def test_training_lowers_the_loss(planned_project, tiny_base):
    edit(
        planned_project, steps=60, learning_rate=3e-2, sample_every_n_steps=0, save_every_n_steps=60
    )
    steps = [e for e in events_of(planned_project, tiny_base) if isinstance(e, Step)]
    first, last = (sum(s.instance_loss for s in part) for part in (steps[:15], steps[-15:]))
    assert last < 0.97 * first


@pytest.mark.slow
def test_stopping_and_going_on_is_bit_identical(planned_project, tiny_base, tmp_path):
    events_of(planned_project, tiny_base)
    whole = lora_bytes(planned_project)
    shutil.rmtree(planned_project.runs_folder)
    shutil.rmtree(planned_project.lora_folder)
    asked = iter([False, False, True])
    events = events_of(planned_project, tiny_base, should_stop=lambda: next(asked))
    assert StateSaved in kinds(events) and isinstance(events[-1], Stopped)
    assert events[-1].step == 3
    events = events_of(planned_project, tiny_base)
    assert (
        kinds(events)[0] is Resumed
        and events[-1].step == read_plan(planned_project.plan_file).steps
    )
    assert lora_bytes(planned_project) == whole


@pytest.mark.slow
def test_a_finished_run_is_not_done_again(planned_project, tiny_base):
    events_of(planned_project, tiny_base)
    whole = lora_bytes(planned_project)
    again = events_of(planned_project, tiny_base)
    assert Step not in kinds(again) and isinstance(again[-1], Done)
    assert lora_bytes(planned_project) == whole and len(planned_project.runs()) == 1


@pytest.mark.slow
def test_a_finished_run_that_lost_its_files_ends_the_same_again(planned_project, tiny_base):
    """From its last checkpoint; the log, which tells of its end already, stays as it is."""
    edit(planned_project, sample_every_n_steps=0)
    events_of(planned_project, tiny_base)
    whole, run = lora_bytes(planned_project), planned_project.runs()[-1]
    log = (run / "events.jsonl").read_text()
    (run / planned_project.lora_file.name).unlink()
    shutil.rmtree(planned_project.lora_folder)
    again = events_of(planned_project, tiny_base)
    assert Step not in kinds(again) and isinstance(again[-1], Done)
    assert lora_bytes(planned_project) == whole
    told = [line["kind"] for line in reading.read_json_lines(run / "events.jsonl")]
    assert "step" in told and (run / planned_project.lora_file.name).is_file()
    assert [line["kind"] for line in map(json.loads, log.splitlines())] == told


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_no_step_is_logged_twice(planned_project, tiny_base):
    edit(planned_project, sample_every_n_steps=0, save_every_n_steps=100)
    events = train(planned_project, tiny_base)
    next(event for event in events if isinstance(event, Step) and event.step == 2)
    events.close()
    log = planned_project.runs()[-1] / "events.jsonl"
    with log.open("a") as file:
        file.write('{"kind": "st')
    events_of(planned_project, tiny_base)
    told = [line["step"] for line in reading.read_json_lines(log) if line["kind"] == "step"]
    assert told == list(range(1, 7))


def test_another_precision_than_the_plans_is_said_with_where_to_set_it(planned_project, tiny_base):
    edit(planned_project, precision="bf16")
    with pytest.raises(
        StaleRunError, match=r"for bf16, and .* fp32\. Set .*plan\.toml, or .*decisions"
    ):
        events_of(planned_project, tiny_base)


def _load(base_folder, storage="full"):
    base = load_base(base_folder, device="cpu", dtype=torch.float32, storage=storage)
    return samples_in_two_steps(base)


def _life(base, root, moment, told):
    """Trains; killed at a moment, as it is about to give a file its name or to judge a batch.

    How many such moments there were, if it came to its end, is written to `told`.
    """
    met = killed_at(moment, (os, "replace"), (training_step, "per_image_loss"))
    for _ in train(open_project(root), base):
        pass
    told.write_text(str(met[0]))


@pytest.mark.slow
def test_twenty_kills_end_bit_identical(planned_project, tiny_base, tiny_sd1, tmp_path):
    """SIGKILL all over the run, checkpoints and caching among it; whoever resumes ends the same."""
    edit(planned_project, steps=12, save_every_n_steps=1, sample_every_n_steps=6)
    events_of(planned_project, tiny_base)
    whole, told = lora_bytes(planned_project), tmp_path / "moments"

    with lives(_load, tiny_sd1) as started:

        def start(moment=None):
            return started.start(_life, planned_project.root, moment, told)

        _forget(planned_project)
        assert start() == 0 and lora_bytes(planned_project) == whole
        moments = int(told.read_text())
        draw = random.Random(0)
        for _ in range(4):
            _forget(planned_project)
            # Each goes on from where the one before was killed, so five fifths never reach the end.
            kills = [start(draw.randint(1, moments // 5)) for _ in range(5)]
            assert kills == [-signal.SIGKILL] * 5
            assert start() == 0 and lora_bytes(planned_project) == whole


def _forget(project):
    """What was trained, and what was encoded for it."""
    shutil.rmtree(project.runs_folder)
    shutil.rmtree(project.lora_folder, ignore_errors=True)
    shutil.rmtree(caches.cache_folder() / "latents")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("storage", "checkpointing"),
    [("full", True), ("int8", False), ("nf4", True), ("offload", False)],
)
def test_a_kill_in_each_way_ends_bit_identical(
    planned_project, tiny_sd1, tmp_path, storage, checkpointing
):
    """LoRA, and the optimizer's moments in the last state."""
    inputs = current_inputs(planned_project, _load(tiny_sd1, storage))
    edit(
        planned_project, inputs=inputs.model_dump(), gradient_checkpointing=checkpointing, steps=4,
        save_every_n_steps=1, sample_every_n_steps=2,
    )  # fmt: skip
    told = tmp_path / "moments"

    def left():
        (run,) = planned_project.runs()
        # Not the temporary file of a write that was killed.
        saved = [file for file in sorted(run.glob("checkpoints/*/*")) if file.name[0] != "."]
        files_of = {file: file.read_bytes() for file in saved}
        assert len(files_of) == 2 * 3, list(files_of)
        return lora_bytes(planned_project), list(files_of.values())

    with lives(_load, tiny_sd1, storage) as started:

        def start(moment=None):
            return started.start(_life, planned_project.root, moment, told)

        assert start() == 0
        whole, moments = left(), int(told.read_text())
        _forget(planned_project)
        assert start(2 * moments // 3) == -signal.SIGKILL
        assert start() == 0 and left() == whole


def test_what_changed_since_the_plan_is_named(planned_project, tiny_base):
    caption = next(planned_project.photos_folder.glob("*.txt"))
    caption.write_text("a photo of ohwx car, upside down")
    with pytest.raises(
        StaleRunError, match=r"Changed since the plan was made: captions\. Make a new"
    ):
        events_of(planned_project, tiny_base)


def test_what_cannot_be_written_is_said_before_anything_is_trained(
    planned_project, tiny_base, monkeypatch
):
    """And nothing is left of what was tried."""
    monkeypatch.setattr(lora_files, "diffusers_keys", lambda name: (f"{name}.a", f"{name}.b"))
    events = train(planned_project, tiny_base)
    with pytest.raises(LoraError, match="is no LoRA for tiny"):
        next(events)
    assert not list(planned_project.lora_folder.iterdir())


def test_no_plan_is_said(planned_project, tiny_base):
    planned_project.plan_file.unlink()
    with pytest.raises(InvalidPlanError, match="There is no plan"):
        events_of(planned_project, tiny_base)


def test_a_project_in_use_is_said(planned_project, tiny_base):
    with planned_project.held(), pytest.raises(ProjectError, match="is in use"):
        events_of(planned_project, tiny_base)


CHANGES = {
    "effective_batch_size": 6, "gradient_accumulation_steps": 2, "target_modules": "attention",
    "rank": 3, "alpha": 1.0,
    "learning_rate": 5e-3, "lr_scheduler": "constant", "lr_warmup_steps": 2, "weight_decay": 0.5,
    "max_grad_norm": 1e-4, "class_image_ratio": 0.25, "prior_loss_weight": 0.5,
    "min_snr_gamma": 0.0, "caption_dropout_rate": 0.5, "crops_per_photo": 3, "seed": 9, "steps": 3,
    "text_encoder_rank": 2,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CHANGES))
def test_every_setting_is_alive(planned_project, tiny_base, name):
    """Turning it changes the LoRA (gradient_accumulation_steps: only by rounding)."""
    edit(planned_project, sample_every_n_steps=0)
    events_of(planned_project, tiny_base)
    before = load_file(planned_project.diffusers_lora_file)
    edit(planned_project, **{name: CHANGES[name]})
    events_of(planned_project, tiny_base)
    after = load_file(planned_project.diffusers_lora_file)
    same = {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}
    if same:
        moved = sum((after[key] - value).square().sum() for key, value in before.items())
        same = bool(moved < 1e-6 * sum(value.square().sum() for value in before.values()))
    assert same == (name == "gradient_accumulation_steps")


@pytest.mark.slow
def test_masks_are_alive(planned_project, tiny_base, masked):
    edit(planned_project, sample_every_n_steps=0)
    events_of(planned_project, tiny_base)
    before = planned_project.lora_file.read_bytes()
    masked(planned_project)
    events_of(planned_project, tiny_base)
    assert planned_project.lora_file.read_bytes() != before


def _trained(project, base):
    """The losses of the steps, and the LoRA's tensors; nothing of the run is left."""
    losses = [event.loss for event in events_of(project, base) if isinstance(event, Step)]
    learnt = load_file(project.lora_file)
    shutil.rmtree(project.runs_folder)
    return losses, learnt


@pytest.mark.slow
def test_beside_an_assistant_it_learns_as_on_a_base_that_has_it(
    planned_project, tiny_base, assisted
):
    """Weights that have the assistant's changes added by hand, and no assistant, are the reference."""
    edit(planned_project, sample_every_n_steps=3)
    alone, _ = _trained(planned_project, tiny_base)
    assisted(planned_project)
    before = {name: one.clone() for name, one in tiny_base.denoiser.state_dict().items()}
    losses, learnt = _trained(planned_project, tiny_base)
    after = tiny_base.denoiser.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(one, after[name]) for name, one in before.items())
    ((lora, _),) = load_assistant(planned_project, tiny_base)
    with torch.no_grad():
        for name, weights in lora.weights.items():
            weight = tiny_base.denoiser.get_submodule(name.removeprefix("unet.")).weight
            weight += weights.delta().reshape(weight.shape)
    assisted(planned_project, name="none")
    expected, reference = _trained(planned_project, tiny_base)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert losses != pytest.approx(alone, rel=1e-3)
    assert learnt.keys() == reference.keys()
    for key, tensor in learnt.items():  # Adam's first steps go by the gradient's sign
        assert torch.allclose(tensor, reference[key], atol=1e-4), key


@pytest.mark.slow
def test_pictures_and_the_lora_are_without_the_assistant(planned_project, tiny_base, assisted):
    """With a rate of almost 0 nothing is learnt: pictures are the base's, the LoRA is nothing."""
    assisted(planned_project)
    edit(planned_project, learning_rate=1e-12)
    run = events_of(planned_project, tiny_base)
    samples = [event for event in run if isinstance(event, Sample)]
    assert [sample.step for sample in samples] == [3, 6]
    assistant = load_assistant(planned_project, tiny_base)

    def pictures(loras, name):
        shots = generate_images(
            tiny_base, list(samples[0].prompts), loras=loras,
            settings=GenerationSettings(seeds=(0,)), folder=planned_project.root / name,
            subject=planned_project.subject, marking=Marking(has_watermark=False),
        )  # fmt: skip
        return pixels(shot.file for shot in shots)

    def pixels(shots):
        return np.stack([np.asarray(Image.open(file), np.int16) for file in shots])

    alone = pictures([], "alone")
    for sample in samples:
        assert abs(pixels(sample.files) - alone).max() <= 1
    assert abs(pictures(assistant, "beside") - alone).max() > 20
    learnt = load_lora(planned_project.lora_file, tiny_base)
    targets = tiny_base.lora_targets("attention+mlp")
    assert set(learnt.weights) == {f"unet.{name}" for name in targets}
    assert all(weights.rank == 2 for weights in learnt.weights.values())
    assert max(float(weights.delta().abs().max()) for weights in learnt.weights.values()) < 1e-9


@pytest.mark.slow
def test_beside_an_assistant_going_on_is_bit_identical(planned_project, tiny_base, assisted):
    assisted(planned_project)
    events_of(planned_project, tiny_base)
    whole = lora_bytes(planned_project)
    shutil.rmtree(planned_project.runs_folder)
    shutil.rmtree(planned_project.lora_folder)
    asked = iter([False, False, False, True])
    assert isinstance(
        events_of(planned_project, tiny_base, should_stop=lambda: next(asked))[-1], Stopped
    )
    assert kinds(events_of(planned_project, tiny_base))[0] is Resumed
    assert lora_bytes(planned_project) == whole


def test_another_assistant_than_the_plans_is_refused(
    planned_project, tiny_base, assisted, make_assistant
):
    shutil.copy(make_assistant(seed=1), assisted(planned_project))
    with pytest.raises(StaleRunError, match=r"Changed since the plan was made: assistant\. Make"):
        events_of(planned_project, tiny_base)
    assert planned_project.runs() == []


def interrupting(monkeypatch, place, name, call):
    """Have Ctrl-C come as something is called the n-th time; only that time."""
    real, calls = getattr(place, name), []

    def interrupted(*given, **options):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*given, **options)

    monkeypatch.setattr(place, name, interrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "name", "call", "saved"),
    [
        (optimizer.Optimizer, "clip", 1, None),
        (optimizer.Optimizer, "clip", 4, 3),
        (learning, "make_sample", 1, 3),
        (learning, "make_sample", 2, 6),
        (torch.optim.AdamW, "step", 4, 2),
    ],
)
def test_what_breaks_off_costs_the_step_at_hand_at_most_and_the_end_is_bit_identical(
    planned_project, tiny_base, monkeypatch, place, name, call, saved
):
    """In a step, as pictures are made, and, where nothing can be saved, as the LoRA changes."""
    edit(planned_project, save_every_n_steps=2)
    whole = [type(event) for event in events_of(planned_project, tiny_base)]
    expected = lora_bytes(planned_project)
    shutil.rmtree(planned_project.runs_folder)
    shutil.rmtree(planned_project.lora_folder)
    interrupting(monkeypatch, place, name, call)
    is_saved = saved and name != "step"
    try:
        events = events_of(planned_project, tiny_base)
        assert is_saved and events[-1] == Stopped(saved) and isinstance(events[-2], StateSaved)
    except KeyboardInterrupt:
        assert not is_saved
    monkeypatch.undo()
    again = events_of(planned_project, tiny_base)
    resumed = [event.step for event in again if isinstance(event, Resumed)]
    assert resumed == ([saved] if saved else [])
    assert lora_bytes(planned_project) == expected
    (run,) = planned_project.runs()
    logged = read_events(run)
    assert [e.step for e in logged if isinstance(e, Sample)] == [3, 6]
    assert [e.step for e in logged if isinstance(e, Step)] == list(range(1, 7))
    assert whole.count(Sample) == 2
