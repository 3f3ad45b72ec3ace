"""Processes that are killed. Each is forked from one that has imported what the first of them needed,
and has prepared what they share, so that a life costs little more than what it does."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

COMPILING = ("numba", "pymatting")
"""What each life imports for itself: where it compiles as it is first imported, it starts threads, with
which nothing may be forked."""


class Lives:
    """Starts lives, one after the other; each is gone when `start` returns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(
        self, target: Callable[..., Any], *given: Any, kill_after: float | None = None
    ) -> int:
        """Call `target(shared, *given)` in a process; its exit code, that of `subprocess`.

        Args:
            kill_after: seconds until it is killed.
        """
        self._connection.send((target, given, kill_after))
        return self._connection.recv()


@contextlib.contextmanager
def lives(prepare: Callable[..., Any] | None = None, *given: Any) -> Iterator[Lives]:
    """Begin: what `prepare(*given)` returns is what all lives share, each its own copy."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, prepare, given))
    process.start()
    theirs.close()
    try:
        yield Lives(ours)
    finally:
        ours.close()
        process.join()


def killed_at(moment: int | None, *called: tuple[Any, str]) -> list[int]:
    """Have this process killed as one of `called` (object, name) is called the `moment`-th time.

    Returns:
        A list whose only value is the number of calls so far.
    """
    count = [0]

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*given, **options)

        return call

    for place, name in called:
        setattr(place, name, counted(getattr(place, name)))
    return count


def _serve(connection: Connection, prepare: Callable[..., Any] | None, given: Any) -> None:
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    shared = prepare(*given) if prepare else None
    with contextlib.suppress(EOFError):
        while True:
            target, arguments, kill_after = connection.recv()
            connection.send(_one_life(target, shared, arguments, kill_after))


def _one_life(target: Callable[..., Any], shared: Any, given: Any, kill_after: float | None) -> int:
    with tempfile.TemporaryFile("w+") as imported:
        child = os.fork()
        if not child:
            code = 1
            try:
                target(shared, *given)
                imported.write("\n".join(sys.modules))
                imported.flush()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        code = _awaited(child, kill_after)
        imported.seek(0)
        for name in imported.read().split("\n"):
            if name not in sys.modules and name.partition(".")[0] not in COMPILING:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
    return code


def _awaited(child: int, kill_after: float | None) -> int:
    """A child's exit code; it is killed if it lives longer."""
    if kill_after is not None:
        end = time.monotonic() + kill_after
        while time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
