"""What is said where there is a terminal, and where there is none."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console as RichConsole

from packshot import cli
from packshot.cli import console as module
from packshot.cli.console import LINE_SECONDS, Console
from packshot.masks.mask_photos import MaskResult
from packshot.training import CompileFailed, Step, StepSkipped
from tests.projects import painted


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


@pytest.fixture
def opened(monkeypatch):
    """Opens a console on a terminal or a pipe; its output is `.written`."""

    def open_on(terminal, **options):
        file = io.StringIO()
        monkeypatch.setattr(
            module, "RichConsole",
            lambda stderr: RichConsole(file=file, force_terminal=terminal, width=80),
        )  # fmt: skip
        console = Console(**options)
        console.written = file.getvalue
        return console

    return open_on


def step(number, of, loss=0.5):
    return Step(number, of, loss, None, None, 1e-3, 1.0)


def test_without_a_terminal_a_line_every_few_seconds_with_step_loss_and_time_left(opened, clock):
    with opened(False) as console:
        for number in range(1, 101):
            clock.now += 1.0
            console.event(step(number, 100, loss=number / 100))
    lines = console.written().splitlines()
    assert lines[0] == "training 1/100, loss 0.0100"
    assert lines[1] == "training 6/100, loss 0.0600, about 1 min 34 s left"
    assert lines[-1] == "training 100/100, loss 1.0000"
    assert len(lines) == 1 + 99 // LINE_SECONDS + 1


def test_skipped_steps_are_told_when_they_persist(opened, clock):
    with opened(False) as console:
        for number in range(1, 13):
            console.event(StepSkipped(number, 99, 2.0 ** (16 - number), number))
    assert [line for line in console.written().splitlines() if "in a row" in line] == [
        "5 steps in a row were skipped: their gradients are too large for fp16; they are scaled by "
        "2048 now",
        "10 steps in a row were skipped: their gradients are too large for fp16; they are scaled by "
        "64 now",
    ]
    assert console.training  # Ctrl-C ends it after a step


def test_a_run_that_goes_on_without_compiling_says_so(opened):
    with opened(False) as console:
        console.event(CompileFailed(0, "there is no C++ compiler"))
    assert console.written() == (
        "torch.compile does not work here (there is no C++ compiler): training goes on without\n"
    )


def test_long_lines_are_not_broken_and_the_same_is_not_said_twice(opened, clock):
    with opened(False) as console:
        console.say("x" * 200)
        for done in (0, 0, 4, 8, 8, 0, 8):  # the second time in another place
            console.progress("shots", done, 8)
    assert console.written().splitlines() == [
        "x" * 200, "shots 0/8", "shots 8/8", "shots 8/8",
    ]  # fmt: skip


def test_of_many_masks_in_doubt_the_worst_are_named(opened):
    photos = [
        SimpleNamespace(file=Path(f"{n}.png"), mask=Path("m"), masked_by="x", mask_doubt=n / 10)
        for n in range(7)
    ]
    with opened(False) as console:
        console.masked(MaskResult(photos, []))
    said = console.written()
    assert said.count("look at it first") == 3 and "the mask of 6.png is in doubt (0.60)" in said
    assert re.search(r"^[23] more in doubt, .*packshot masks --review", said, re.M)


def test_photos_unlike_the_others_are_asked_about(opened, monkeypatch):
    photos = [SimpleNamespace(file=Path("a.png"), mask=Path("m"), masked_by="x", mask_doubt=0)]
    monkeypatch.setattr(
        "packshot.judging.strays.unlike_the_others", lambda given: [(given[0], 0.2)]
    )
    with opened(False) as console:
        console.masked(MaskResult(photos, []))
    assert (
        "a.png looks unlike the other photos (0.20 of 1): is it this product" in console.written()
    )


def test_on_a_terminal_there_are_bars(opened):
    with opened(True) as console:
        console.progress("captions", 3, 4)
        console.event(step(2, 10))
    assert "captions" in console.written() and "2/10" in console.written()
    assert "captions 3/4," not in console.written()


def test_nobody_is_asked_where_nobody_can_answer(opened):
    with opened(False) as console:
        assert not console.agrees("Fetch it?")
    assert "Fetch it? No, as there is no terminal to ask in; --yes agrees." in console.written()
    with opened(False, yes=True) as console:
        assert console.agrees("Fetch it?") and console.insists


@pytest.mark.parametrize(("answer", "agreed"), [("", True), ("y", True), ("n", False)])
def test_a_person_at_a_terminal_is_asked(opened, monkeypatch, answer, agreed):
    monkeypatch.setattr(module.sys.stdin, "isatty", lambda: True, raising=False)
    with opened(True) as console:
        monkeypatch.setattr(console._bars.console, "input", lambda question, **options: answer)
        assert console.agrees("Fetch it?") is agreed


ESCAPES = "a\x1b]0;pwned\x07\x1b[2Jb\u202ec\x9bd\re"


def test_what_would_steer_a_terminal_is_shown(capsys):
    from packshot.cli.terminal import echo

    echo(f"{ESCAPES}\nnext")
    said = capsys.readouterr().out
    assert said == "a\\x1b]0;pwned\\x07\\x1b[2Jb\\u202ec\\x9bd\\re\nnext\n"
    Console().say(ESCAPES)
    assert not set(ESCAPES) & set(capsys.readouterr().err) - set("a]0;pwned[2Jbcd")


def test_nothing_is_printed_past_it():
    folder = Path(cli.__file__).parent
    for file in folder.glob("*.py"):
        if file.name != "terminal.py":
            said = re.search(r"typer\.echo|\bprint\([\"f]|std(out|err)\.write", file.read_text())
            assert not said, file


def test_a_photo_whose_captions_second_line_is_left_out_is_not_called_refused(
    project, source, capsys, monkeypatch
):
    painted(0).save(source / "a.png")
    (source / "a.txt").write_text("ohwx car\nat dusk")
    (source / "b.png").write_bytes(b"no picture")
    monkeypatch.setattr("sys.argv", ["packshot", "photos", str(source), "-p", str(project.root)])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr()
    assert "note a.txt: is used, but has more than one line" in said.err
    assert said.err.count("refused ") == said.err.count("refused b.png: ") == 1
    assert "1 photos accepted, 1 refused." in said.out
