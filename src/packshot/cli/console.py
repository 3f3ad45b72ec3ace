"""What a person sees in the terminal while a step runs. Progress goes to standard error."""

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

from packshot.utils.durations import in_words
from packshot.workflow.observer import RunObserver

if TYPE_CHECKING:
    from packshot.masks import MaskResult
    from packshot.photos.photo_set import Photo
    from packshot.plan import Plan
    from packshot.training import Event

LINE_SECONDS = 5.0
"""Without a terminal, a line of each kind of work comes so often."""


class Console(RunObserver):
    """Progress bars with ETA, one a kind of work; without a terminal, lines. Asks before it fetches."""

    def __init__(self, *, yes: bool = False) -> None:
        """
        Args:
            yes: agree to all that is offered.
        """
        console = RichConsole(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lines: dict[str, _Lines] | None = None if console.is_terminal else {}
        self._asked_to_stop = False
        self.insists = yes
        self.training = False

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def agrees(self, question: str) -> bool:
        """Ask, if there is somebody to ask; `--yes` answers for those that are not there."""
        if self.insists or not (sys.stdin.isatty() and self._bars.console.is_terminal):
            if not self.insists:
                self.say(f"{question} Nobody is here to answer, so no; --yes agrees.")
            return self.insists
        self._bars.stop()
        try:
            return self._bars.console.input(f"{question} [Y/n] ").strip().lower() in (
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
        """Where some work is (a `packshot.utils.progress.Progress`)."""
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
        """What the run will be and cost, before it starts."""
        predicted = plan.estimate
        self.say(
            f"plan: {plan.steps} steps of {plan.effective_batch_size} at {plan.resolution} px, "
            f"rank {plan.rank} on "
            f"{plan.target_modules}, {plan.precision}; {predicted.class_images_seen} class images seen; "
            f"about {in_words(predicted.seconds)} and {predicted.bytes / 2**30:.1f} GiB"
        )

    def refused(self, refused: dict[str, str]) -> None:
        """Which photos were refused, and why."""
        for name, reason in refused.items():
            self.say(f"refused {name}: {reason}")

    def blurred(self, photos: Sequence[Photo]) -> None:
        """What was blurred, photo by photo."""
        for photo in photos:
            counts = Counter({one.kind: len(one.boxes) for one in photo.blurred})
            for kind, count in (+counts).items():
                self.say(f"{photo.file.name}: {kind} blurred: {count}")

    def masked(self, masked: MaskResult) -> None:
        """Whose masks stand now, and in which photos no product was found."""
        standing = [photo for photo in masked.photos if photo.mask]
        for by, count in Counter(photo.masked_by or "you" for photo in standing).items():
            self.say(f"masks by {by}: {count}")
        for photo in masked.without_mask:
            kept = "; the mask that stood there is kept" if photo.mask else ""
            file = photo.file.parent / "masks" / f"{photo.file.stem}.png"
            self.say(
                f"no product found in {photo.file.name}{kept}: draw its mask, white on the product: "
                f"{file}"
            )

    def event(self, event: Event) -> None:
        """What training tells."""
        from packshot.training import CachingLatents, Resumed, Step, Stopped

        match event:
            case CachingLatents():
                self.progress("encoding", event.done, event.total)
            case Resumed():
                self.say(f"going on after step {event.step} {event.note}".rstrip())
            case Step():
                self.training = event.step < event.steps
                self.progress("training", event.step, event.steps, f"loss {event.loss:.4f}")
            case Stopped():
                self.say(f"stopped after step {event.step}; the same command goes on from here")

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Turn the first Ctrl-C in training into a wish to stop after the step; others stop at once."""

        def handle(_signal: int, _frame: FrameType | None) -> None:
            if self._asked_to_stop or not self.training:
                raise KeyboardInterrupt
            self._asked_to_stop = True
            self.say("stopping after this step (Ctrl-C again: at once)")

        before = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@dataclass
class _Lines:
    """When to say where some work is, and how long it will yet take."""

    what: str
    first: int
    """What was done when it was first heard of: it tells nothing of the pace."""
    begun: float
    told: float = -LINE_SECONDS
    last: int = -1

    def text(self, done: int, total: int, note: str, now: float) -> str | None:
        """A line, if it is time for one."""
        if done < self.last:  # the same work, in another place
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
