"""`packshot plan` and `train`: mistakes told before the base is loaded; see also test_cli.py."""

from pathlib import Path

import pytest

from packshot.cli import train
from packshot.plan import read_plan
from packshot.project import choices_of, save_choices
from packshot.utils.files import sha256


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--target-modules", "most"), "'most' is not one of 'cross-attention'"),
        (("--time-budget", "soon"), "'soon' is not a time; write 90s, 10m or 1h30m"),
        (("--assistant", "gone.safetensors"), "There is no file gone.safetensors, which --assistant"),
        (("--rank", "0"), "Invalid value for '--rank'"),
        (("--class-image-ratio", "0.95"), "Invalid value for '--class-image-ratio'"),
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
    assert read_plan(ready_project.plan_file).inputs.assistant == sha256(file)
    code, _ = command("plan", "-p", ready_project.root)
    assert code == 0 and read_plan(ready_project.plan_file).inputs.assistant == sha256(file)
    code, _ = command("plan", "-p", ready_project.root, "--assistant", "none")
    assert code == 0 and read_plan(ready_project.plan_file).inputs.assistant == ""
