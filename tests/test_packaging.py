"""What stands beside the package: its metadata, the Makefile, the lock, the jobs of CI and the hooks."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_yaml(name):
    return yaml.safe_load((ROOT / name).read_text())


def locked():
    """The versions that the lock pins each package to (several where they differ by platform)."""
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements-dev.lock").read_text(), re.M)
    pins = {}
    for name, version in lines:
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


def test_the_lock_pins_what_is_asked_for_and_no_build_of_torch():
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["dev"], *extras["docs"]]
    pins = locked()
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name not in ("packshot", "torch"):
            assert all(version in requirement.specifier for version in pins[name]), name
    assert not [name for name in pins if re.match(r"torch|nvidia|cuda|triton", name)]


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_an_old_python_is_told_in_one_line():
    words = ["make", "--dry-run", "--always-make", "demo", "PYTHON=false"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=alone)
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(
        r"Makefile:\d+: \*\*\* needs Python 3\.11: make demo PYTHON=python3\.12\.  Stop\.\n",
        done.stderr,
    )


def test_ci_calls_nothing_but_targets_of_the_makefile():
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    targets = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)[1].split()
    assert commands and set(commands) <= {f"make {target}" for target in targets}
    assert all(re.search(rf"^{target}:", MAKEFILE, re.M) for target in targets)


PROGRAMS = ["ruff check", "ruff format", "mypy", "lint-imports"]


def test_the_hooks_are_those_of_make_lint():
    hooks = [
        hook for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]
    ]
    lint = re.findall(
        r"^\t\$\(BIN\)/(.*?)( \.|$)", MAKEFILE.split("\nlint:")[1].split("\n\n")[0], re.M
    )
    programs = [" ".join(w for w in words.split() if w[0] != "-") for words, _ in lint]
    assert [hook["name"] for hook in hooks] == programs == PROGRAMS


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_the_forms_for_issues_ask_for_something(name):
    form = read_yaml(f".github/ISSUE_TEMPLATE/{name}.yml")
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert (
        form["name"] and form["description"] and len({field["id"] for field in asked}) == len(asked)
    )
    assert any(field.get("validations", {}).get("required") for field in asked)


def test_the_image_is_built_of_what_reaches_it():
    """Docker sees only what .dockerignore lets through."""
    let = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.M))
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    assert {name for line in copied for name in line.split()} == let
    assert all((ROOT / name).exists() for name in let)
