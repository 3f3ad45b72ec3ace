"""What a person sees in the terminal while a step runs. Progress goes to standard error."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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

from packshot.durations import in_words

if TYPE_CHECKING:
    from pathlib import Path

    from packshot.masks import Masked
    from packshot.photos import Photo
    from packshot.plan import Plan
    from packshot.training import Event


class Console:
    """Progress bars with ETA, one a kind of work; training's shows the loss."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=RichConsole(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self.training = False

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False)

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """Where some work is (a `packshot.progress.Progress`)."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, note=note)
        self._bars.update(self._tasks[what], completed=done, total=total, note=note)

    def plan(self, plan: Plan) -> None:
        """What the run will be and cost, before it starts."""
        predicted = plan.predicted
        self.say(
            f"plan: {plan.steps} steps of {plan.batch} at {plan.pixels} px, rank {plan.rank} on "
            f"{plan.targets}, {plan.precision}; {predicted.class_images_seen} class images seen; "
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

    def masked(self, masked: Masked, folder: Path) -> None:
        """Whose masks stand now, and in which photos no product was found."""
        standing = [photo for photo in masked.photos if photo.mask]
        for by, count in Counter(photo.masked_by or "you" for photo in standing).items():
            self.say(f"masks by {by}: {count}")
        for photo in masked.without:
            kept = "; the mask that stood there is kept" if photo.mask else ""
            self.say(
                f"no product found in {photo.file.name}{kept}: draw its mask, white on the product: "
                f"{folder / photo.file.stem}.png"
            )

    def event(self, event: Event) -> None:
        """What training tells."""
        from packshot.training import Caching, Resumed, Step, Stopped

        match event:
            case Caching():
                self.progress("encoding", event.done, event.total)
            case Resumed():
                self.say(f"going on after step {event.step} {event.note}".rstrip())
            case Step():
                self.training = event.step < event.steps
                self.progress("training", event.step, event.steps, f"loss {event.loss:.4f}")
            case Stopped():
                self.say(f"stopped after step {event.step}; the same command goes on from here")


@contextmanager
def asked_to_stop(console: Console) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C in training into a wish to stop after the step; others stop at once."""
    asked = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not console.training:
            raise KeyboardInterrupt
        asked = True
        console.say("stopping after this step (Ctrl-C again: at once)")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
