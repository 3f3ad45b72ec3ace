"""One training by two processes, over gloo on the CPU: what one process makes, whoever goes on with it."""

import json
import os
import shutil
import signal
import socket

import pytest
import torch
from torch import nn

from packshot.errors import InvalidPlanError, ProcessesError, ProcessLostError
from packshot.models import load_base
from packshot.project import open_project
from packshot.training import step as training_step
from packshot.training import train
from packshot.training.processes import ALONE, Processes, joined
from packshot.training.run_state import latest
from tests.lives import lives
from tests.projects import edit


def _load(base_folder):
    return load_base(base_folder, device="cpu", dtype=torch.float32)


def _begin(count):
    """Become so many processes, as a launcher would start them; returns this one's rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rank = next((number for number in range(1, count) if not os.fork()), 0)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    return rank


def _life(base, root, count, stop_after=None, killed_at=None):
    """Trains by so many processes; the last of them may be killed as it computes its n-th loss.

    What the first process tells is in told.txt.
    """
    rank = _begin(count)
    if killed_at and rank == count - 1:
        _kill_at(killed_at)
    told = []
    try:
        with joined() as processes:
            for event in train(
                open_project(root),
                base,
                should_stop=lambda: bool(told) and told[-1] == f"Step {stop_after}",
                processes=processes,
            ):
                told.append(f"{type(event).__name__} {getattr(event, 'step', '')}".strip())
    except ProcessLostError as error:
        told.append(f"ProcessLostError {error}")
    if rank:
        os._exit(0)
    (root / "told.txt").write_text("\n".join(told))


def _kill_at(count):
    real, calls = training_step.per_image_loss, []

    def loss(*given):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)

    training_step.per_image_loss = loss


@pytest.fixture(scope="module")
def started(tiny_sd1):
    with lives(_load, tiny_sd1) as begun:
        yield begun


@pytest.fixture
def run_by(planned_project, started):
    """Trains the project, from nothing, by each of (processes, step to stop after) in turn.

    Returns the last state, and what was told the last time.
    """
    edit(planned_project, sample_every_n_steps=0, effective_batch_size=5)
    root = planned_project.root

    def run(*starts, killed_at=None):
        for count, stop_after in starts:
            given = root, count, stop_after, killed_at
            assert started.start(_life, *given, kill_after=100) == 0
        (folder,) = planned_project.runs()
        state, _ = latest(folder / "checkpoints")
        shutil.rmtree(planned_project.runs_folder)
        shutil.rmtree(planned_project.lora_folder, ignore_errors=True)
        return state, (root / "told.txt").read_text().splitlines()

    return run


def farthest(state, other):
    """The largest difference of any number of two states' LoRAs."""
    assert state.step == other.step and state.adapter.keys() == other.adapter.keys()
    return max(float((state.adapter[k] - v).abs().max()) for k, v in other.adapter.items())


@pytest.mark.slow
def test_two_processes_make_what_one_makes_and_either_goes_on_with_the_others(
    planned_project, run_by
):
    """Photos of two sizes and class images, in a batch that two processes split unevenly."""
    edit(planned_project, steps=50, save_every_n_steps=50, eval_every_n_steps=10)
    one, told = run_by((1, None))
    two, told_by_two = run_by((2, None))
    assert farthest(two, one) <= 1e-5
    assert two.held_out_losses == pytest.approx(one.held_out_losses, abs=1e-6)
    assert [line for line in told_by_two if "Caching" not in line] == [
        line for line in told if "Caching" not in line
    ]
    assert farthest(run_by((2, 17), (1, 34), (2, None))[0], one) <= 1e-5


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_and_the_steps_that_were_done_are_saved(
    planned_project, run_by
):
    edit(planned_project, steps=6, save_every_n_steps=6)
    one, _ = run_by((1, None))
    lost, told = run_by((2, None), killed_at=8)
    assert told[-1].startswith("ProcessLostError Another process of this training has ended")
    assert told[-2] == f"StateSaved {lost.step}" and 0 < lost.step < 6
    assert farthest(run_by((2, lost.step), (1, None))[0], one) <= 1e-5


def test_shares_are_together_all_and_differ_by_one_at_most():
    for count in (1, 2, 3, 7):
        for examples in (7, 8, 20):
            shares = [Processes(rank, count).share(examples) for rank in range(count)]
            assert [one for share in shares for one in share] == list(range(examples))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_batch_too_small_for_the_processes_is_told_with_what_to_do(planned_project, tiny_base):
    several = Processes(0, 5, 5)
    assert several.require_batch(5) is None
    with pytest.raises(
        InvalidPlanError, match=r"batch of 4 is too small for 5 processes\. Set eff"
    ):
        several.require_batch(4)


def test_without_a_launcher_there_is_one_process(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with joined() as processes:
        assert processes == ALONE and processes.any(True) and not processes.any(False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # a batch system's, that started one process
    with joined() as processes:
        assert processes == ALONE


def _exchange(_base, folder):
    """Two processes add up: a gradient that both have, one that one has, one that none has."""
    rank = _begin(2)
    with joined() as processes:
        parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
        parameters[0].grad = torch.full((2,), 1.0 + rank)
        if rank:
            parameters[1].grad = torch.tensor([5.0, 7.0])
        losses = processes.add_up(parameters, torch.tensor([1.0 - rank, 2.0 * rank]))
        found = [None if each.grad is None else each.grad.tolist() for each in parameters]
        try:
            processes.require_same(3 + rank)
        except ProcessesError as error:
            found.append(str(error))
        (folder / f"{rank}.json").write_text(json.dumps([*found, losses.tolist()]))
    if rank:
        os._exit(0)
    os.wait()


@pytest.mark.slow
def test_gradients_and_losses_are_added_up_and_other_steps_refused(started, tmp_path):
    assert started.start(_exchange, tmp_path, kill_after=60) == 0
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found[:3] == [[3.0, 3.0], [5.0, 7.0], None] and found[4] == [1.0, 2.0]
        assert "do not see the same project" in found[3]
