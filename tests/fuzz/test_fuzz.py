"""The fuzzers: a few cases of each kind, and that no kind of fault escapes them."""

import os
import pickle  # noqa: TID251 - to see that it is noticed
import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from packshot.errors import PackshotError
from tests.fuzz import verdict
from tests.fuzz.mutation import damaged, odd
from tests.fuzz.targets import TARGETS, Target

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="it forks, and reads Linux's figures"
)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) for kind in TARGETS])
def test_some_cases_of_each_kind_are_without_a_fault(kind):
    """In a process without threads, for it forks."""
    command = [sys.executable, "-m", "tests.fuzz", kind, "--cases", "10", "--minutes", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and f"| {kind} | 10 |" in done.stdout, (
        done.stdout + done.stderr[-2000:]
    )


def _unpickle(folder):
    (folder / "x.pkl").write_bytes(pickle.dumps(Path("x")))
    pickle.loads((folder / "x.pkl").read_bytes())  # noqa: S301


def _connect(folder):
    socket.create_connection(("127.0.0.1", 9), timeout=0.1)


def _refuse(folder):
    raise PackshotError("so it should be")


MISDEEDS = {
    "raises": (lambda folder: [][1], "IndexError"),
    "hangs": (lambda folder: [None for _ in iter(int, 1) if False], "hangs"),
    "waits": (lambda folder: time.sleep(60), "hangs"),
    "dies": (lambda folder: os.abort(), "dies"),
    "takes memory": (lambda folder: len(b"x" * 3 * 10**8), "takes more than"),
    "writes": (lambda folder: (folder / ".." / "x").write_text("x"), "writes"),
    "moves": (lambda folder: (folder / "..").joinpath("seeds").rename(folder / "s"), "os.rename"),
    "reads": (lambda folder: (folder / ".." / "home" / "secret.txt").read_text(), "reads"),
    "unpickles": (_unpickle, "pickle.find_class"),
    "connects": (_connect, "socket.connect"),
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_no_misdeed_escapes(tmp_path, monkeypatch, misdeed):
    deed, fault = MISDEEDS[misdeed]
    monkeypatch.setattr(verdict, "SECONDS", 1)
    monkeypatch.setattr(verdict, "PATIENCE", 2)
    monkeypatch.setattr(verdict, "MOST_BYTES", 2 * 10**8)
    told = _judged(tmp_path, deed)
    assert any(found.startswith(fault) for found in told["faults"]), told["faults"]


def test_what_is_done_well_is_no_fault(tmp_path):
    def work(folder):
        (folder / "x").write_text("x")
        (folder / "x").rename(folder / "y")
        print("said")

    assert (_judged(tmp_path, work)["faults"], _judged(tmp_path, work)["refused"]) == ([], 0)
    assert (_judged(tmp_path, _refuse)["faults"], _judged(tmp_path, _refuse)["refused"]) == ([], 1)


def _judged(folder, deed):
    target = Target(lambda folder: None, lambda shared, folder, draw: deed(folder))
    for name in ("home", "seeds"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "home" / "secret.txt").write_text("secret")
    return verdict._judged(target, None, folder, 0)


def test_a_case_depends_on_its_number_alone():
    data, value = bytes(range(256)) * 4, {"a": [1, {"b": "c"}], "d": 2.5}
    assert damaged(data, Random(5)) == damaged(data, Random(5))
    assert repr(odd(value, Random(5))) == repr(odd(value, Random(5)))
    assert len({damaged(data, Random(n)) for n in range(100)}) > 90
    assert len({repr(odd(value, Random(n)))[:500] for n in range(100)}) > 50
    assert value == {"a": [1, {"b": "c"}], "d": 2.5}, "the value given is as it was"
