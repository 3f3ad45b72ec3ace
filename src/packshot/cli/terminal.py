"""Text on its way to a terminal."""

from __future__ import annotations

import typer

PARTLY = 3
"""The exit code of a command over many, if some of them could not be done."""


def visible(text: object) -> str:
    """Text without power over a terminal: escapes and other characters that do not print are shown.

    Names, captions and metadata come from files; an escape in them could rewrite what stands on the
    screen, its title, or what is pasted next.
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(text))


def echo(text: object, *, err: bool = False) -> None:
    """Print a line, made visible, to standard output or standard error."""
    typer.echo(visible(text), err=err)
