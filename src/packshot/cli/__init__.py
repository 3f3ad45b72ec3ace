"""The command line: parses, calls and prints. Every command is a public function of the package."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from packshot.cli import (
    captions,
    catalog,
    class_images,
    convert,
    datasets,
    deliver,
    doctor,
    generate,
    insert,
    judge,
    lora,
    masks,
    photos,
    provenance,
    report,
    run,
    studio,
    train,
)
from packshot.cli.terminal import STOPPED, TERMINATED, echo, guarded, notes_shown

if TYPE_CHECKING:
    from packshot.errors import UnaskedFetchError

# Their advice is for programmers; a user can do nothing with it.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        echo(f"packshot {version('packshot')}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Train a LoRA of one product from its photos, and generate images of it anywhere.",
)


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    from packshot.errors import ProcessesError
    from packshot.utils.launcher import launched

    if context.invoked_subcommand != "train" and launched():
        raise ProcessesError(
            f"Only packshot train works in several processes, not {context.invoked_subcommand}: start that "
            "as it is, without a launcher."
        )


# In the order in which they are wanted, and listed.
for command in (
    doctor.doctor, run.run, catalog.catalog, run.new, photos.photos, photos.blur, photos.photo_guide,
    captions.caption, masks.masks, class_images.class_images, datasets.import_dataset,
    datasets.export_dataset, train.plan, train.memory, train.train, judge.judge, judge.choose,
    generate.shoot, insert.insert, report.report, deliver.deliver, convert.convert,
    provenance.verify, studio.studio,
):  # fmt: skip
    app.command(command.__name__.removesuffix("_dataset").replace("_", "-"))(command)
app.add_typer(lora.app, name="lora")
app.add_typer(provenance.app, name="credentials")


def _agrees(error: UnaskedFetchError) -> bool:
    """Ask, where somebody can answer, whether a project may have fetched what it names."""
    from packshot.utils import consent

    if not sys.stdin.isatty():
        return False
    echo(f"packshot: {error.question}", err=True)
    if not typer.confirm("Fetch it?", err=True):
        return False
    consent.agree(error.root, error.names)
    return True


def _settle_home() -> None:
    """A home for a user who has none, of which libraries know nothing: it is deleted at the end."""
    from packshot.errors import PackshotError
    from packshot.utils import caches, pathnames

    if pathnames.expand_user("~").is_absolute():
        return
    try:
        home = caches.stand_in_folder()
    except PackshotError:  # nor any place for one; whoever needs it says so
        return
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(home)
    if not (os.environ.get("PACKSHOT_CACHE") and os.environ.get("HF_HOME")):
        echo(
            f"note: this user has no home folder. What is kept for later runs, and models that are fetched, "
            f"lie in {home} and are deleted at the end. To keep them, set HOME, or PACKSHOT_CACHE and "
            "HF_HOME.",
            err=True,
        )


def main() -> None:
    """Run a command.

    Exit codes: 0 done, 2 an error that the user can fix, 3 done but for some of many (`PARTLY`),
    130 stopped by Ctrl-C, 143 by SIGTERM, 1 a bug.
    """
    with guarded(), notes_shown():
        _main()


def _main() -> None:
    from packshot.errors import PackshotError, UnaskedFetchError
    from packshot.utils import drives

    try:
        _settle_home()
        try:
            app()
        except UnaskedFetchError as error:
            if not _agrees(error):
                raise
            _main()
    except SystemExit as ended:
        if ended.code in (STOPPED, TERMINATED):
            echo("packshot: stopped; the same command resumes from here.", err=True)
        raise
    except PackshotError as error:
        echo(f"packshot: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        if isinstance(error, OSError) and (told := drives.in_words(error)):
            echo(f"packshot: {told}", err=True)
            sys.exit(2)
        echo(traceback.format_exc(), err=True)
        echo(
            "packshot: this is a bug in Packshot, please report it with the lines above. Files are "
            "written completely or not at all: running the same command again is safe.",
            err=True,
        )
        sys.exit(1)
