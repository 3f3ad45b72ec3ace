"""Progress and messages in the terminal, on standard error."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Self

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from packshot.cli.progress_record import ProgressRecord, progress_record
from packshot.cli.terminal import STOPPED, TERMINATED, visible
from packshot.utils.durations import in_words
from packshot.utils.preemption import told_by_sigterm
from packshot.workflow.observer import RunObserver

if TYPE_CHECKING:
    from packshot.masks import MaskResult
    from packshot.photos.photo_set import Photo
    from packshot.plan import Plan
    from packshot.training import Event

MANY_SKIPPED = 5
"""Steps skipped in a row of which the user is told."""
MANY_DOUBTED = 3
"""Masks in doubt that are named, the worst."""
LINE_SECONDS = 5.0
"""Without a terminal, the interval between two lines of one kind of work."""


class Console(RunObserver):
    """Progress bars with ETA, one per kind of work; lines without a terminal. Asks before downloads."""

    def __init__(self, *, yes: bool = False, quiet: bool = False) -> None:
        """
        Args:
            yes: agree to everything that is offered.
            quiet: show nothing, as another process does.
        """
        console = RichConsole(stderr=True)
        console.quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lines: dict[str, _Lines] | None = None if console.is_terminal else {}
        self._record = ProgressRecord(None) if quiet else progress_record()
        self._asked_to_stop = False
        self.exit_code = STOPPED
        self.insists = yes
        self.training = False

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(
            visible(text), markup=False, highlight=False, emoji=False, soft_wrap=True
        )

    def agrees(self, question: str) -> bool:
        """Ask in a terminal; otherwise decline, or agree with `--yes`."""
        if self.insists or not (sys.stdin.isatty() and self._bars.console.is_terminal):
            if not self.insists:
                self.say(f"{question} No, as there is no terminal to ask in; --yes agrees.")
            return self.insists
        self._bars.stop()
        try:
            return self._bars.console.input(
                visible(question) + " [Y/n] ", markup=False, emoji=False
            ).strip().lower() in (
                "",
                "y",
                "yes",
            )
        except EOFError:
            return False
        finally:
            self._bars.start()

    def should_stop(self) -> bool:
        """Whether Ctrl-C was pressed in training."""
        return self._asked_to_stop

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """Show the progress of some work (a `packshot.utils.progress.Progress`)."""
        note = visible(note)
        self._record(what, done, total, note)
        if self._lines is not None:
            now = time.monotonic()
            line = self._lines.setdefault(what, _Lines(what, first=done, begun=now))
            if text := line.text(done, total, note, now):
                self.say(text)
            return
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, note=note)
        self._bars.update(self._tasks[what], completed=done, total=total, note=note)

    def plan(self, plan: Plan) -> None:
        """Print the plan and its estimated cost."""
        estimate = plan.estimate
        most = "up to " if plan.early_stopping_variance else ""
        self.say(
            f"plan: {most}{plan.steps} steps of {plan.effective_batch_size} at {plan.resolution} px, "
            f"rank {plan.rank} on "
            f"{plan.target_modules}, {plan.precision}; {estimate.class_images_seen} class images seen; "
            f"about {in_words(estimate.seconds)} and {estimate.bytes / 2**30:.1f} GiB"
        )

    def refused(self, refused: dict[str, str]) -> None:
        """Print which photos were refused, and why; and of which captions something was left out."""
        from packshot.images.refusals import is_used

        for name, reason in refused.items():
            self.say(f"{'note' if is_used(reason) else 'refused'} {name}: {reason}")

    def blurred(self, photos: Sequence[Photo]) -> None:
        """Print what was blurred in each photo."""
        for photo in photos:
            counts = Counter({blur.kind: len(blur.boxes) for blur in photo.blurred})
            for kind, count in (+counts).items():
                self.say(f"{photo.file.name}: {kind} blurred: {count}")

    def masked(self, masked: MaskResult) -> None:
        """Print who made the masks, which are in doubt, and in which photos no product was found."""
        from packshot.judging.strays import unlike_the_others
        from packshot.photos.photo_set import is_doubtful

        with_mask = [photo for photo in masked.photos if photo.mask]
        for by, count in Counter(photo.masked_by or "you" for photo in with_mask).items():
            self.say(f"masks by {by}: {count}")
        doubtful = [photo for photo in with_mask if is_doubtful(photo)]
        worst_first = sorted(doubtful, key=lambda photo: -(photo.mask_doubt or 0))
        for photo in worst_first[:MANY_DOUBTED]:
            self.say(
                f"the mask of {photo.file.name} is in doubt ({photo.mask_doubt:.2f}): look at it first"
            )
        if more := len(worst_first[MANY_DOUBTED:]):
            self.say(f"{more} more in doubt, less than these: packshot masks --review shows all")
        for photo, alike in unlike_the_others(with_mask)[:MANY_DOUBTED]:
            self.say(
                f"{photo.file.name} looks unlike the other photos ({alike:.2f} of 1): is it this product, "
                "and is its mask right?"
            )
        for name, reason in masked.failed.items():
            self.say(f"no mask made for {name}: {reason}")
        for photo in masked.without_mask:
            kept = "; its earlier mask is kept" if photo.mask else ""
            file = photo.file.parent / "masks" / f"{photo.file.stem}.png"
            self.say(
                f"no product found in {photo.file.name}{kept}: draw its mask, white on the product: "
                f"{file}"
            )

    def event(self, event: Event) -> None:
        """Print an event of training."""
        from packshot.training import (
            CachingLatents,
            CompileFailed,
            Evaluated,
            Resumed,
            Step,
            StepSkipped,
            Stopped,
        )

        match event:
            case CachingLatents():
                self.progress("encoding", event.done, event.total)
            case Resumed():
                self.say(f"resuming after step {event.step} {event.note}".rstrip())
            case CompileFailed():
                self.say(
                    f"torch.compile does not work here ({event.reason}): training goes on without"
                )
            case Step():
                self.training = event.step < event.steps
                self.progress("training", event.step, event.steps, f"loss {event.loss:.4f}")
            case StepSkipped():
                self.training = event.step < event.steps
                self.progress("training", event.step, event.steps, "skipped")
                if event.in_a_row % MANY_SKIPPED == 0:
                    self.say(
                        f"{event.in_a_row} steps in a row were skipped: their gradients are too large "
                        f"for fp16; they are scaled by {event.loss_scale:g} now"
                    )
            case Evaluated(is_done=True):
                self.training = False
                self.say(
                    f"training is done after step {event.step}: its held-out loss has settled at "
                    f"{event.loss:.4f}. To go on all the same: packshot train --go-on"
                )
            case Stopped():
                self.say(f"stopped after step {event.step}; the same command resumes from here")

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """The first Ctrl-C in training stops after the current step; any other stops at once.

        So does SIGTERM, after which no step is waited for longer than `preemption.PATIENCE` seconds.
        """

        def stop(how: str) -> None:
            if self._asked_to_stop or not self.training:
                raise KeyboardInterrupt
            self._asked_to_stop = True
            self.say(f"stopping after this step ({how})")

        def interrupt(_signal: int, _frame: FrameType | None) -> None:
            stop("Ctrl-C again: at once")

        def terminate() -> None:
            self.exit_code = TERMINATED
            stop("SIGTERM")

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            with told_by_sigterm(terminate):
                yield
        except KeyboardInterrupt:
            raise SystemExit(self.exit_code) from None
        finally:
            signal.signal(signal.SIGINT, before)


@dataclass
class _Lines:
    """Decides when to print a progress line, and estimates the remaining time."""

    what: str
    first: int
    """What was already done at the first report; not counted for the pace."""
    begun: float
    told: float = -LINE_SECONDS
    last: int = -1

    def text(self, done: int, total: int, note: str, now: float) -> str | None:
        """A line if one is due, else None."""
        if done < self.last:  # the same kind of work started again
            self.first, self.begun = done, now
        early = now - self.told < LINE_SECONDS and done < total
        repeated, self.last = done == self.last, done
        if early or repeated:
            return None
        self.told = now
        pace = (now - self.begun) / (done - self.first) if done > self.first else 0.0
        left = f"about {in_words(pace * (total - done))} left" if pace and done < total else ""
        parts = [f"{self.what} {done}/{total}", note, left]
        return ", ".join(part for part in parts if part)
