"""A machine that is about to be taken away sends SIGTERM, and gives some seconds."""

from __future__ import annotations

import _thread
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 10.0
"""Seconds that what is at hand has to end by itself; of the 20 and more there are, the rest is to save."""


@contextmanager
def told_by_sigterm(
    tell: Callable[[], object], break_off: Callable[[], object] = _thread.interrupt_main
) -> Iterator[None]:
    """Call `tell` at the first SIGTERM while the block runs, and `break_off` `PATIENCE` seconds later.

    A later SIGTERM changes nothing: launchers repeat to their processes what these were sent already.

    Args:
        tell: says that work shall stop; it is called in the main thread.
        break_off: breaks it off; as Ctrl-C does, unless told otherwise. Another thread calls it.
    """

    def handle(_signal: int, _frame: object) -> None:
        if not is_told.is_set():
            is_told.set()
            timer.start()
            tell()

    is_told = threading.Event()
    timer = threading.Timer(PATIENCE, break_off)
    timer.daemon = True
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)


def interrupt(thread: int) -> None:
    """Raise KeyboardInterrupt in a thread, as Ctrl-C does in the main one.

    Args:
        thread: its `threading.get_ident()`.
    """
    error = ctypes.py_object(KeyboardInterrupt)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)
