"""`packshot plan` and `train`: mistakes told before the base is loaded; see also test_cli.py."""

import os
import signal
import time
from pathlib import Path

import pytest

from packshot.cli import train
from packshot.plan import read_plan
from packshot.project import save_choices
from packshot.settings import choices_of
from packshot.training.optimizer import Optimizer
from packshot.utils import hashing, preemption


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--target-modules", "most"), "'most' is not one of 'cross-attention'"),
        (("--time-budget", "soon"), "'soon' is not a time; write 90s, 10m or 1h30m"),
        (("--assistant", "gone.safetensors"), "There is no file gone.safetensors, which --assistant"),
        (("--rank", "0"), "Invalid value for '--rank'"),
        (("--class-image-ratio", "0.95"), "Invalid value for '--class-image-ratio'"),
        (("--compare", "--rank", "32"), "--compare is of the recipe: leave out --rank"),
        (
            ("--compare", "--time-budget", "9m", "--train-text-encoder", "--processes", "2"),
            "leave out --time-budget, --train-text-encoder, --processes",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_first(command, project, monkeypatch, words, told):
    monkeypatch.setattr(train, "base_of", lambda *args: pytest.fail("loaded"))
    code, said = command("plan", "-p", project.root, *words)
    assert code == 2 and told in said


def test_a_plan_that_makes_no_sense_is_told_first(command, project, monkeypatch):
    monkeypatch.setattr(train, "base_of", lambda *args: pytest.fail("loaded"))
    project.plan_file.write_text("steps = 0\n")
    code, said = command("train", "-p", project.root)
    assert code == 2 and "plan.toml: steps = 0: input should be greater than or equal to 1" in said


def test_an_assistant_is_kept_by_its_whole_path(
    command, ready_project, tiny_base, assisted, monkeypatch
):
    file = Path(assisted(ready_project))
    save_choices(ready_project, choices_of(assistant="none"))
    monkeypatch.setattr(train, "base_of", lambda *args: tiny_base)
    monkeypatch.chdir(file.parent)
    code, _ = command("plan", "-p", ready_project.root, "--assistant", file.name)
    assert code == 0 and ready_project.settings.assistant == str(file)
    assert read_plan(ready_project.plan_file).inputs.assistant == hashing.sha256(file)
    code, _ = command("plan", "-p", ready_project.root)
    assert code == 0 and read_plan(ready_project.plan_file).inputs.assistant == hashing.sha256(file)
    code, _ = command("plan", "-p", ready_project.root, "--assistant", "none")
    assert code == 0 and read_plan(ready_project.plan_file).inputs.assistant == ""


@pytest.mark.slow
def test_at_sigterm_a_step_that_takes_long_is_broken_off_and_those_before_are_saved(
    command, planned_project, tiny_base, monkeypatch
):
    monkeypatch.setattr(train, "base_of", lambda *args: tiny_base)
    monkeypatch.setattr(preemption, "PATIENCE", 0.1)
    real, calls = Optimizer.clip, []

    def clip(optimizer):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # a launcher repeats it
            while True:
                time.sleep(0.01)
        return real(optimizer)

    monkeypatch.setattr(Optimizer, "clip", clip)
    code, said = command("train", "-p", planned_project.root)
    assert code == 143
    assert "stopping after this step (SIGTERM)" in said
    assert "stopped after step 3; the same command resumes from here" in said
    monkeypatch.setattr(Optimizer, "clip", real)
    code, said = command("train", "-p", planned_project.root)
    assert code == 0 and "resuming after step 3" in said


def test_sigterm_before_training_ends_at_once(command, planned_project, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(train, "base_of", lambda *args: os.kill(os.getpid(), signal.SIGTERM))
    code, said = command("train", "-p", planned_project.root)
    assert code == 143 and "stopped; the same command resumes from here" in said
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("name", ["run", "plan"])
def test_other_commands_than_train_refuse_to_work_in_several_processes(
    command, project, monkeypatch, name
):
    told = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}
    for variable, value in told.items():
        monkeypatch.setenv(variable, str(value))
    code, said = command(name, project.root)
    assert code == 2 and f"Only packshot train works in several processes, not {name}" in said
