"""Making one product of a catalogue: exactly what `packshot run` does, in a folder or for a store."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from packshot.catalog import inputs
from packshot.catalog.claims import Claim, claimed
from packshot.catalog.outcome import Outcome, State, figures, log_of, project_of, thumbnail_of
from packshot.catalog.publishing import fetch, publish, read_marker, withdraw
from packshot.catalog.store import Store, folder_of, store_of
from packshot.catalog.table import Product
from packshot.errors import (
    DiskFullError,
    ImageRejectedError,
    InsufficientMemoryError,
    InUseError,
    PackshotError,
    StoreError,
    WriteError,
    reason_of,
)
from packshot.images.loading import open_image
from packshot.project import Project
from packshot.utils import caches, files, hashing, in_place, pathnames
from packshot.utils.durations import in_words
from packshot.workflow import end_to_end
from packshot.workflow.observer import RunObserver

if TYPE_CHECKING:
    from packshot.training import Event

_MAY_PASS = (DiskFullError, InUseError, InsufficientMemoryError, StoreError)
"""Faults that are not the product's: another try may end otherwise."""
_PIXELS = 480
_SAVE_SECONDS = 300.0
"""What training has saved goes to the store this often, for another machine to go on from."""


def scratch_of(store: Store) -> Path:
    """Where this machine makes what goes to a store."""
    return caches.cache_folder() / "catalog" / hashing.fingerprint(store.url)[:16]


def make(
    product: Product, out: str, start: str = "", should_stop: Callable[[], bool] = lambda: False
) -> Outcome:
    """Make one product to its end, or go on with it; whatever fails is told in the outcome.

    Everything that is said goes to the product's log.

    Args:
        out: the catalogue's folder, or its URL in a store.
        start: of the command that asks, see `claims.claimed`.
    """
    begun = time.monotonic()
    store = store_of(out)
    folder = scratch_of(store) if store else folder_of(out)
    observer = _Log(log_of(folder, product.id), should_stop)
    outcome = Outcome(product.id)
    try:
        if store:
            outcome = _made_in_store(product, store, folder, start, observer)
        else:
            outcome = _made(product, folder, observer)
    except PackshotError as error:
        observer.say(str(error))
        is_users = not isinstance(error, _MAY_PASS)
        state: State = "elsewhere" if isinstance(error, InUseError) else "failed"
        lacked = isinstance(error, InsufficientMemoryError)
        outcome = Outcome(
            product.id, state, fault=str(error), is_users=is_users, lacked_memory=lacked
        )
    except Exception as error:  # one product's, whatever it is: the others go on
        observer.say(traceback.format_exc())
        outcome = Outcome(product.id, "failed", fault=reason_of(error))
    took = time.monotonic() - begun
    observer.say(f"{outcome.state} after {in_words(took)}")
    if store and not outcome.was_complete and outcome.state != "elsewhere":
        with contextlib.suppress(StoreError):
            store.upload(log_of(folder, product.id), log_of(Path(), product.id).as_posix())
    return replace(outcome, seconds=round(took, 1))


def _made(product: Product, folder: Path, observer: _Log) -> Outcome:
    """Make a product in a folder, exactly as `packshot run` does.

    Raises:
        PackshotError: any step's own errors.
    """
    downloads = pathnames.safe_join(folder, f"downloads/{product.id}")
    project = project_of(folder, product)
    result = end_to_end.run(
        inputs.at_hand(product.photos, downloads), root=project.root, name=product.subject.name,
        class_noun=product.subject.class_noun, trigger=product.subject.trigger,
        choices=inputs.choices_at_hand(product.choices, folder / "downloaded"), observer=observer,
    )  # fmt: skip
    if result.stopped:
        return Outcome(product.id, "stopped")
    _write_thumbnail(folder, product)
    return Outcome(product.id, "done", was_complete=result.was_complete, **figures(project))


def _made_in_store(
    product: Product, store: Store, scratch: Path, start: str, observer: _Log
) -> Outcome:
    """Make a product in scratch and publish it; what is published of the same inputs stands.

    Raises:
        InUseError: another start is at it, or has taken it over.
        PackshotError: any step's own errors.
    """
    wanted = inputs.fingerprint_of(product)
    place, unfinished = f"products/{product.id}", f"unfinished/{product.id}"
    if outcome := _published(product, store, place, wanted):
        return outcome
    with claimed(store, product.id, start) as claim:
        if outcome := _published(product, store, place, wanted):  # meanwhile
            return outcome
        root = project_of(scratch, product).root
        if not root.exists():
            fetch(store, unfinished, root) or fetch(store, place, root)
        if _is_anothers(root, product):
            pathnames.remove_tree(root, root.parent)
        observer.follow(claim, lambda: publish(store, unfinished, root, wanted, {}))
        try:
            outcome = _made(product, scratch, observer)
        except Exception:
            observer.save()
            raise
        if claim.look():
            raise InUseError(f"{product.id} was taken over by another start of this catalogue.")
        if outcome.state == "stopped":
            observer.save()
            return outcome
        thumbnail = thumbnail_of(scratch, product.id)
        if thumbnail.is_file():
            store.upload(thumbnail, thumbnail_of(Path(), product.id).as_posix())
        publish(store, place, root, wanted, outcome.facts())
        withdraw(store, unfinished)
    for left in (root, pathnames.safe_join(scratch, f"downloads/{product.id}")):
        if left.exists():
            pathnames.remove_tree(left, left.parent)
    return outcome


def _is_anothers(root: Path, product: Product) -> bool:
    """Whether a project is of what the table called otherwise before: it cannot be gone on with."""
    settings = Project(root).settings_file
    return settings.exists() and Project(root).subject != product.subject


def _published(product: Product, store: Store, place: str, wanted: str) -> Outcome | None:
    marker = read_marker(store, place)
    if marker is None or marker.inputs != wanted:
        return None
    return replace(Outcome.of_facts(marker.facts), was_complete=True, seconds=0.0)


def _write_thumbnail(folder: Path, product: Product) -> None:
    """Write a small copy of a product's contact sheet, unless it is newer than the sheet."""
    sheet = project_of(folder, product).shots_folder / "sheet.png"
    small = thumbnail_of(folder, product.id)
    is_fresh = small.is_file() and small.stat().st_mtime >= sheet.stat().st_mtime
    if not is_fresh:
        with contextlib.suppress(ImageRejectedError):  # somebody else's file in its place
            image = open_image(sheet)
            image.thumbnail((_PIXELS, _PIXELS))
            files.write_image(small, image)


class _Log(RunObserver):
    """Appends what is said, with the time, to a file; asks nothing. Saves now and then, if told how."""

    def __init__(self, path: Path, should_stop: Callable[[], bool]) -> None:
        self._path, self._should_stop = path, should_stop
        self._claim: Claim | None = None
        self._save: Callable[[], object] = lambda: None
        self._saved = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)

    def follow(self, claim: Claim, save: Callable[[], object]) -> None:
        """Stop once the claim is lost to another start; until then, save with `save`."""
        self._claim, self._save = claim, save

    def save(self) -> None:
        """Save what there is, unless it is lost; what the store refuses is told, no more."""
        try:
            if self._claim and not self._claim.look():
                self._save()
        except (PackshotError, OSError) as error:
            self.say(f"not saved: {error}")
        self._saved = time.monotonic()

    def event(self, event: Event) -> None:
        """Save what training has saved."""
        from packshot.training import StateSaved  # loads PyTorch

        if isinstance(event, StateSaved) and time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()

    def say(self, text: str) -> None:
        """Append a line; that none can be written is no reason to end."""
        with contextlib.suppress(DiskFullError, WriteError):
            in_place.append_line(
                self._path, f"{datetime.now().isoformat(timespec='seconds')} {text}"
            )

    def progress(self, what: str, done: int, total: int) -> None:
        """Append what is done; what is under way is in the project."""
        if done == total:
            self.say(f"{what}: {total}")

    def refused(self, refused: dict[str, str]) -> None:
        """Append each refused photo."""
        for name, reason in refused.items():
            self.say(f"refused {name}: {reason}")

    def should_stop(self) -> bool:
        """Whether training shall stop, with its state saved."""
        return self._should_stop() or bool(self._claim and self._claim.is_lost)
