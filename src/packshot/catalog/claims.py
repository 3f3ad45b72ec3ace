"""Who makes a product: one start at a time, whichever machine it is on, by objects in the store.

A claim is an object that only one can create. Whoever holds it writes it anew every `BEAT` seconds;
one that has not been written for `LEASE` seconds, by the store's own clock, is left behind by a
machine that is gone, and the next number is free to create. So there is no server to ask, and no two
clocks need to agree.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator

from packshot.catalog.store import Store
from packshot.errors import InUseError, StoreError

BEAT = 20.0
LEASE = 90.0


@contextlib.contextmanager
def claimed(store: Store, product: str, start: str) -> Iterator[Claim]:
    """Hold a product's claim while the block runs.

    Args:
        start: of the command that asks; it takes over its own claims at once, for it gives a product
            to one worker at a time.

    Raises:
        InUseError: another start is at this product.
        StoreError: the store does not answer.
    """
    number, before = _newest(store, product)
    if before and not (_start_of(store, before) == start or _is_left(store, before)):
        raise InUseError(f"{product} is being made by another start of this catalogue.")
    name = _name(product, number + 1)
    content = json.dumps({"start": start, "claim": secrets.token_hex(8)}).encode()
    if not store.create(name, content):
        raise InUseError(f"{product} was begun by another start of this catalogue.")
    claim = Claim(store, product, name, content)
    try:
        yield claim
    finally:
        claim.end()


class Claim:
    """A claim that is written anew until it ends or is lost."""

    def __init__(self, store: Store, product: str, name: str, content: bytes) -> None:
        self._store, self._product, self._name, self._content = store, product, name, content
        self._ended = threading.Event()
        self.is_lost = False
        """Whether another start had taken over at the last look: what is made now is not wanted."""
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def look(self) -> bool:
        """Ask the store whether it is lost.

        Raises:
            StoreError: the store does not answer.
        """
        self.is_lost = self.is_lost or _newest(self._store, self._product)[1] != self._name
        return self.is_lost

    def end(self) -> None:
        """Let others have it. Earlier claims go with it: their holders are to see that they lost it."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(StoreError):  # then it is left behind
            for name in self._store.stamps(f"claims/{self._product}"):
                if name <= self._name:
                    self._store.remove(name)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(StoreError):
                if self.look():
                    return
                self._store.write(self._name, self._content)


def _name(product: str, number: int) -> str:
    return f"claims/{product}/{number:06}.json"


def _newest(store: Store, product: str) -> tuple[int, str | None]:
    """The number and name of the claim that counts; 0 and None if there is none."""
    names = list(store.stamps(f"claims/{product}"))
    return (int(names[-1].rpartition("/")[2].partition(".")[0]), names[-1]) if names else (0, None)


def _start_of(store: Store, name: str) -> str | None:
    content = store.read(name)
    return None if content is None else str(json.loads(content)["start"])


def _is_left(store: Store, name: str) -> bool:
    """Whether a claim is no longer written, as the store's clock has it."""
    store.write("claims/clock", b"")
    now, then = store.written_at("claims/clock"), store.written_at(name)
    return now is None or then is None or (now - then).total_seconds() > LEASE
