"""When training is done: the rule against its definition, and the run that it ends."""

import math
import random
import shutil
import signal
import statistics
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from packshot.class_images import list_class_images
from packshot.errors import StaleRunError
from packshot.lora import add_adapters, load_lora
from packshot.photos.photo_set import list_photos
from packshot.plan import read_plan
from packshot.plan.evaluations import HELD_OUT, plan_evaluations
from packshot.training import Done, Evaluated, StateSaved, Step, train
from packshot.training.convergence import Convergence, held_out_loss, variance_share
from packshot.training.dataset import TrainingSet
from packshot.training.runs import checkpoints
from packshot.utils import reading
from tests.lives import lives
from tests.projects import edit
from tests.training.test_loop import _forget, _life, _load


def data_of(project, base, plan):
    photos, prior = list_photos(project), list_class_images(project)
    data = TrainingSet(base, plan, project.subject, photos, prior)
    list(data.fill_caches())
    return data


def test_the_share_is_that_of_the_populations_variances():
    draw = random.Random(0)
    losses = [draw.random() for _ in range(9)]
    assert variance_share(losses[:4], 4) is None
    expected = statistics.pvariance(losses[-4:]) / statistics.pvariance(losses)
    assert variance_share(losses, 4) == pytest.approx(expected)
    assert variance_share([0.5] * 9, 4) == 0


def test_a_loss_that_settles_ends_the_run_and_one_that_moves_does_not(planned_project):
    plan = read_plan(planned_project.plan_file).model_copy(
        update={"early_stopping_window": 4, "early_stopping_variance": 0.15}
    )
    falling = [0.5 ** (step / 2) for step in range(20)]
    ends = [Convergence(plan, losses=falling[:n]).is_done for n in range(1, 21)]
    assert not any(ends[:5]) and all(ends[9:])
    swinging = [float(step % 2) for step in range(20)]
    assert not Convergence(plan, losses=swinging).is_done
    assert not Convergence(plan, goes_on=True, losses=falling).is_done
    never = plan.model_copy(update={"early_stopping_variance": 0.0})
    assert not Convergence(never, losses=[0.5] * 20).is_done


def _end(steps, seconds, loss):
    """The share of its steps at which a run ends by its plan, an evaluation taking `seconds` of a step's."""
    planned = plan_evaluations(steps, 1.0, seconds)
    told = loss[planned.every - 1 :: planned.every] if planned.every else []
    shares = [variance_share(told[:n], planned.window) for n in range(1, len(told) + 1)]
    still = (
        n for n, share in enumerate(shares, 1) if share is not None and share < planned.variance
    )
    return min(1.0, next(still, math.inf) * planned.every / steps)


@pytest.mark.parametrize("steps", [600, 400, 300, 240, 200, 150])
@pytest.mark.parametrize("pace", [0.2, 0.5])
def test_few_evaluations_end_a_run_no_earlier_than_many(steps, pace):
    """Stable Diffusion 1.5 with five photos takes 600 steps, and 15 evaluations; by a time budget fewer.

    The loss falls ever more slowly, and chance moves it by .045 of its fall, as in the median of 48 runs on
    the bundled base.
    """
    chance, at = np.random.default_rng(0), np.arange(1, steps + 1) / steps
    curves = np.exp(-at / pace) + 0.045 * chance.standard_normal((200, steps))
    many, few = ([_end(steps, seconds, list(loss)) for loss in curves] for seconds in (0.0, 2.0))
    assert (
        np.mean(few) >= np.mean(many) and np.quantile(few, 0.05) >= np.quantile(many, 0.05) - 0.05
    )
    assert min(few) > 0.3
    assert steps >= 200 or set(few) == {1.0}, "too short a run is not evaluated"


def test_the_examples_are_always_the_same_and_none_that_training_shows(planned_project, tiny_base):
    plan = edit(planned_project, eval_every_n_steps=1, crops_per_photo=2)
    data = data_of(planned_project, tiny_base, plan)
    shown = {item.key() for photo in data.photos for item in photo}
    assert len(data.held_out) == HELD_OUT and not shown & {item.key() for item in data.held_out}
    first, again = (list(data.held_out_batches(at_once)) for at_once in (2, 2))
    assert sum(len(batch.latents) for batch in first) == HELD_OUT
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.noise, other.noise) and torch.equal(one.timesteps, other.timesteps)
    times = torch.cat([batch.timesteps for batch in data.held_out_batches(HELD_OUT)])
    assert sorted(int(time) // 125 for time in times) == list(range(8))
    without = data_of(planned_project, tiny_base, edit(planned_project, eval_every_n_steps=0))
    assert without.held_out == [] and len(without.seen()) == len(data.seen()) - HELD_OUT


def test_the_loss_is_moved_by_the_lora_alone(planned_project, tiny_base):
    plan = edit(planned_project, eval_every_n_steps=1)
    data = data_of(planned_project, tiny_base, plan)
    with add_adapters(tiny_base, "attention", rank=2, alpha=2, seed=0) as adapters:
        before = held_out_loss(tiny_base, plan, data)
        torch.manual_seed(5)
        assert held_out_loss(tiny_base, plan, data) == before
        for name, parameter in adapters.named_parameters().items():
            if name.endswith("up"):
                torch.nn.init.normal_(parameter)
        assert held_out_loss(tiny_base, plan, data) != before


def test_what_apples_gpus_cannot_compute_is_computed_on_the_cpu(monkeypatch):
    """They know no fp64: of a loss that lies there, nothing but a copy on the CPU may be asked for."""
    there = SimpleNamespace(cpu=lambda: torch.full((4,), 0.25))
    monkeypatch.setattr("packshot.training.convergence.per_image_loss", lambda *given: there)
    data = SimpleNamespace(held_out_batches=lambda at_once, processes: ["a batch"] * 2)
    plan = SimpleNamespace(images_at_once=4, min_snr_gamma=0.0)
    assert held_out_loss(None, plan, data) == 2 * 4 * 0.25 / HELD_OUT


ENDING = {
    "steps": 12, "eval_every_n_steps": 1, "early_stopping_window": 3, "early_stopping_variance": 1.0,
    "sample_every_n_steps": 2, "save_every_n_steps": 2,
}  # fmt: skip
"""Ends at the first evaluation whose last three vary less than all."""


def _losses_told(events):
    return [event for event in events if isinstance(event, Evaluated)]


@pytest.mark.slow
def test_a_run_that_is_done_ends_with_its_lora_and_goes_on_if_it_is_told_to(
    planned_project, tiny_base
):
    edit(planned_project, **ENDING)
    events = list(train(planned_project, tiny_base))
    told, done = _losses_told(events), events[-1]
    assert isinstance(done, Done) and done.step < 12
    assert [one.is_done for one in told] == [False] * (done.step - 1) + [True]
    assert f'"ss_steps":"{done.step}"'.encode() in planned_project.lora_file.read_bytes()
    (run,) = planned_project.runs()
    assert set(checkpoints(run, planned_project.diffusers_lora_file.name)) == set(
        range(2, done.step, 2)
    )
    early = checkpoints(run, planned_project.diffusers_lora_file.name)[2]
    assert load_lora(early, tiny_base).metadata["ss_steps"] == "2"
    lora = planned_project.lora_file.read_bytes()
    assert list(train(planned_project, tiny_base))[-1].step == done.step

    more = list(train(planned_project, tiny_base, go_on=True))
    assert isinstance(more[-1], Done) and more[-1].step == 12
    went_on = planned_project.lora_file.read_bytes()
    assert went_on != lora
    log = [line["kind"] for line in reading.read_json_lines(run / "events.jsonl")]
    assert log.count("went_on") == log.count("done") == 1 and log.count("step") == 12
    assert done.step in checkpoints(run, planned_project.diffusers_lora_file.name)
    with pytest.raises(StaleRunError, match=r"This run ended at its last step, 12\. For a longer"):
        list(train(planned_project, tiny_base, go_on=True))

    shutil.rmtree(planned_project.runs_folder)
    shutil.rmtree(planned_project.lora_folder)
    edit(planned_project, early_stopping_variance=0.0)
    whole = list(train(planned_project, tiny_base))
    assert whole[-1].step == 12 and not any(one.is_done for one in _losses_told(whole))
    assert planned_project.lora_file.read_bytes() == went_on


def test_a_run_that_has_not_ended_is_not_told_to_go_on(planned_project, tiny_base):
    with pytest.raises(StaleRunError, match="has not ended, so it need not be told to go on"):
        list(train(planned_project, tiny_base, go_on=True))


@pytest.mark.slow
def test_evaluating_changes_nothing_of_what_is_learnt(planned_project, tiny_base):
    learnt = []
    for every in (0, 1):
        edit(planned_project, eval_every_n_steps=every)
        list(train(planned_project, tiny_base))
        learnt.append(planned_project.lora_file.read_bytes())
    assert learnt[0] == learnt[1]


@pytest.mark.slow
def test_killed_anywhere_it_ends_at_the_same_step_with_the_same_lora(
    planned_project, tiny_base, tiny_sd1, tmp_path
):
    """SIGKILL, each life going on where the one before was killed; no evaluation is lost or told twice."""
    edit(planned_project, **ENDING | {"sample_every_n_steps": 0})
    told = tmp_path / "moments"

    def losses():
        (run,) = planned_project.runs()
        lines = reading.read_json_lines(run / "events.jsonl")
        return [line["loss"] for line in lines if line["kind"] == "evaluated"]

    with lives(_load, tiny_sd1) as started:

        def start(moment=None):
            return started.start(_life, planned_project.root, moment, told)

        assert start() == 0
        whole, known, moments = planned_project.lora_file.read_bytes(), losses(), told.read_text()
        assert len(known) < ENDING["steps"]
        for parts in (3, 5):
            _forget(planned_project)
            for _ in range(parts - 1):
                assert start(int(moments) // parts) == -signal.SIGKILL
            assert start() == 0
            assert planned_project.lora_file.read_bytes() == whole and losses() == known


@pytest.mark.slow
def test_broken_off_between_its_last_state_and_its_end_it_ends_there(planned_project, tiny_base):
    """After the deciding evaluation, before and after the state that it is saved in."""
    edit(planned_project, **ENDING | {"sample_every_n_steps": 0})
    events = list(train(planned_project, tiny_base))
    whole, end = planned_project.lora_file.read_bytes(), events[-1].step
    assert isinstance(events[-3], Evaluated) and isinstance(events[-2], StateSaved)
    for last in (len(events) - 2, len(events) - 1):
        shutil.rmtree(planned_project.runs_folder)
        shutil.rmtree(planned_project.lora_folder)
        broken = train(planned_project, tiny_base)
        for _ in range(last):
            next(broken)
        broken.close()
        again = list(train(planned_project, tiny_base))
        assert again[-1].step == end and planned_project.lora_file.read_bytes() == whole
        steps = sum(isinstance(event, Step) for event in again)
        assert bool(steps) == (last == len(events) - 2)
