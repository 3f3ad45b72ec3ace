"""The command line: parse, call, print. Every command is a public function of the package."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from packshot.cli import captions, generate, lora, photos, run, train

# Their advice is for programmers; a user can do nothing with it.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"packshot {version('packshot')}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Learn one product from its photos, and picture it anywhere.",
)


@app.callback()
def _options(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_tell_version,
        is_eager=True,
        help="Print the version and exit.",
    ),
) -> None:
    pass


# In the order in which they are wanted, and listed.
for command in (
    run.run, run.new, photos.photos, photos.blur, photos.guide, captions.caption, photos.masks,
    photos.class_images, photos.import_dataset, photos.export_dataset, train.plan, train.fits,
    train.train, generate.shoot, generate.insert, generate.report,
):  # fmt: skip
    app.command(command.__name__.removesuffix("_dataset").replace("_", "-"))(command)
app.add_typer(lora.app, name="lora")


def main() -> None:
    """Run a command. Exit codes: 0 done, 2 the user can mend it, 130 stopped, 1 a bug of ours."""
    from packshot.errors import PackshotError

    try:
        app()
    except SystemExit as ended:
        if ended.code == 130:
            typer.echo("packshot: stopped; the same command goes on from here.", err=True)
        raise
    except PackshotError as error:
        typer.echo(f"packshot: {error}", err=True)
        sys.exit(2)
    except Exception:
        traceback.print_exc()
        typer.echo("packshot: this is a bug; nothing of yours was changed.", err=True)
        sys.exit(1)
