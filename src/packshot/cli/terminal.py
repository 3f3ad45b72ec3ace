"""Text on its way to a terminal."""

from __future__ import annotations

import codecs
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

import typer

PARTLY = 3
"""The exit code of a command over many, if some of them could not be done."""
STOPPED, TERMINATED = 130, 143
"""The exit codes of a command that Ctrl-C has stopped, or SIGTERM; started again, it goes on."""


def visible(text: object) -> str:
    """Text without power over a terminal: escapes and other characters that do not print are shown.

    Names, captions and metadata come from files; an escape in them could rewrite what stands on the
    screen, its title, or what is pasted next.
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(text))


def typed(word: object) -> str:
    """A path or a word as it is typed on a command line: quoted where it has spaces."""
    if os.name == "nt":
        import subprocess

        return subprocess.list2cmdline([str(word)])
    import shlex

    return shlex.quote(str(word))


def echo(text: object, *, err: bool = False) -> None:
    """Print a line, made visible, to standard output or standard error."""
    typer.echo(visible(text), err=err)


@contextmanager
def guarded() -> Iterator[None]:
    """While the block runs, no stream's state decides what becomes of the work.

    Raises (in the block):
        OutputError: standard output takes no more: its disk is full, or nobody reads it any longer.
    """
    _take_closed_numbers()
    with redirect_stdout(_guard(sys.stdout, True)), redirect_stderr(_guard(sys.stderr, False)):
        yield


def _take_closed_numbers() -> None:
    """Where standard streams are closed (`>&-`), no file of ours gets their numbers, and libraries' words."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def _guard(stream: Any, is_result: bool) -> Any:
    if stream is None or isinstance(stream, _Guarded):
        return stream
    if _is_ascii(stream) and hasattr(stream, "reconfigure"):  # as typer does, around the guard
        stream.reconfigure(encoding="utf-8")
    return _Guarded(stream, is_result)


def _is_ascii(stream: TextIO) -> bool:
    """Whether a stream takes plain letters only, which is hardly ever meant."""
    try:
        return codecs.lookup(stream.encoding).name == "ascii"
    except (LookupError, TypeError):
        return False


class _Guarded:
    """A stream to which letters that it does not know are written as escapes."""

    def __init__(self, stream: TextIO, is_result: bool) -> None:
        """
        Args:
            is_result: what cannot be written is an error; progress and notes are done without.
        """
        self._stream, self._is_result = stream, is_result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if text == "":  # libraries try a stream with it, and swallow what it says
            return 0
        try:
            self._try(self._stream.write, text)
        except UnicodeEncodeError:
            known = self._stream.encoding or "ascii"
            self._try(self._stream.write, text.encode(known, "backslashreplace").decode(known))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, do: Callable[..., object], *given: str) -> None:
        try:
            do(*given)
        except OSError as error:
            self._let_go()
            if self._is_result:
                from packshot.errors import OutputError

                raise OutputError(
                    f"Standard output takes no more ({error.strerror}), so what this command says is not "
                    "all there. Each file that it has written is whole."
                ) from error

    def _let_go(self) -> None:
        """What is still to be written goes nowhere, so that nothing fails once more at the end."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def notes_shown() -> Iterator[None]:
    """While the block runs, what this machine lacks is said in a line; other warnings as ever."""
    from packshot.errors import MachineWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", MachineWarning)
        before = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, MachineWarning):
                echo(f"note: {message}", err=True)
            else:
                before(message, category, *where, **more)

        warnings.showwarning = show
        yield
