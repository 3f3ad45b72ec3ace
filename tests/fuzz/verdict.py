"""Runs cases, each in a process of its own that is watched: what it raises, takes, opens and asks."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.targets import TARGETS, Target

SECONDS, PATIENCE = 10, 60
"""Of computing, and of waiting besides: a case that takes more hangs."""
MOST_BYTES = 2**30
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOVING = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod"}
_CALLING = {"socket.connect", "socket.getaddrinfo", "os.system", "os.exec", "pickle.find_class"}


@dataclass
class Figures:
    """What came of the cases of one kind."""

    cases: int = 0
    refused: int = 0
    seconds: float = 0
    slowest: float = 0
    most_bytes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    """By fault: the first case that had it, which `--first` runs again."""

    def add(self, number: int, told: dict[str, Any]) -> None:
        """Add a case's outcome."""
        self.cases += 1
        self.refused += told["refused"]
        self.slowest = max(self.slowest, told["seconds"])
        self.most_bytes = max(self.most_bytes, told["bytes"])
        for fault in told["faults"]:
            self.faults[fault] += 1
            self.first.setdefault(fault, number)


def fuzz(kind: str, minutes: float, first: int = 0, most: int | None = None) -> Figures:
    """Run cases of a kind for so long, or so many; a case depends on its number alone."""
    figures, began = Figures(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
        folder = Path(made)
        _surround(folder)
        shared = _prepared(TARGETS[kind], folder / "seeds")
        number = first
        while time.monotonic() - began < 60 * minutes and (most is None or figures.cases < most):
            figures.add(number, _judged(TARGETS[kind], shared, folder, number))
            number += 1
    figures.seconds = time.monotonic() - began
    return figures


def _surround(folder: Path) -> None:
    """A home with a secret, and everything that is written elsewhere below `folder`."""
    for name in ("home", "cache"):
        (folder / name).mkdir()
    (folder / "home" / "secret.txt").write_text("secret")
    for name in ("HOME", "U2NET_HOME"):
        os.environ[name] = str(folder / "home")
    for name in ("PACKSHOT_CACHE", "HF_HOME"):
        os.environ[name] = str(folder / "cache")


def _prepared(target: Target, seeds: Path) -> Any:
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    seeds.mkdir()
    return target.prepare(seeds)


def _judged(target: Target, shared: Any, folder: Path, number: int) -> dict[str, Any]:
    """One case in a child; what it told, and whether it came to its end."""
    place, report = folder / "case", folder / "report.json"
    place.mkdir()
    report.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _child(functools.partial(target.case, shared, place, Random(number)), folder, report)
    end = time.monotonic() + PATIENCE
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.002)
    if not ended[0]:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        told: dict[str, Any] = json.loads(report.read_text())
    except (OSError, ValueError):
        how = "hangs" if not ended[0] or os.WTERMSIG(ended[1]) == signal.SIGXCPU else "dies"
        told = {"refused": 0, "seconds": SECONDS, "bytes": 0, "faults": [f"{how} ({ended[1]})"]}
    for name in told.get("imported", ()):  # once for all that come after
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    shutil.rmtree(place, ignore_errors=True)
    return told


def _child(case: Callable[[], None], folder: Path, report: Path) -> None:
    """Run a case, write down what came of it, and end."""
    os.setpgrp()
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "case")
    os.chdir(folder / "case")
    faults: list[str] = []
    with (
        _watched(folder, faults),
        open(os.devnull, "w") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
        refused = _run(case, faults)
    after = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "refused": refused,
        "seconds": time.process_time() - began,
        "bytes": (after.ru_maxrss - before.ru_maxrss) * 1024,
        "faults": faults,
        "imported": list(sys.modules),
    }
    if told["bytes"] > MOST_BYTES:
        faults.append("takes more than 1 GB")
    report.write_text(json.dumps(told))
    os._exit(0)


def _run(case: Callable[[], None], faults: list[str]) -> int:
    """1 if it ends in words, else 0; whatever else it raises is a fault."""
    from packshot.errors import PackshotError

    try:
        case()
    except PackshotError as error:
        str(error).encode("utf-8", "backslashreplace")
        return 1
    except BaseException as error:
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "/packshot/" in f.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "elsewhere"
        faults.append(f"{type(error).__name__} at {where}: {str(error)[:80]!r}")
    return 0


@contextlib.contextmanager
def _watched(folder: Path, faults: list[str]) -> Iterator[None]:
    """Note files touched outside what a case may touch, secrets read, programs and sockets."""
    watching = True
    allowed = (str(folder / "case"), str(folder / "cache"), "/dev/null", "/proc/self")
    secret = str(folder / "home") + os.sep

    def note(what: str, path: object) -> None:
        fault = f"{what} {path!r}"[:200]
        if fault not in faults:
            faults.append(fault)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if not watching:
            return
        if event == "open" and isinstance(given[0], str | bytes):
            path = os.path.realpath(os.fsdecode(given[0]))
            writes = (given[2] or 0) & _WRITING
            if path.startswith(secret) and not writes:
                note("reads", path)
            if writes and not path.startswith(allowed):
                note("writes", path)
        elif event in _MOVING:
            both, second = event == "os.rename", event in ("os.link", "os.symlink")
            for path in given[second : 1 + (both or second)]:
                if isinstance(path, str | bytes) and not os.path.realpath(
                    os.path.dirname(os.path.abspath(os.fsdecode(path)))
                ).startswith(allowed):
                    note(event, path)
        elif event in _CALLING:
            note(event, given[:2])

    sys.addaudithook(hook)
    try:
        yield
    finally:
        watching = False
