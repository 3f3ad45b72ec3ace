"""In which order products are made: a worker stays with its base and class as long as there are any."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Waiting(Generic[T]):
    """What waits to be made, by kinds. A worker that has made one of a kind is warm for that kind.

    Warmth comes first: a change of kind costs loading a base. A worker whose kind is used up takes the
    one with most left for each worker at it, so that all kinds end at about the same time. No kind
    starves: each worker serves one kind at a time, to its end, and the last one is taken last.
    """

    def __init__(self, things: Iterable[tuple[Hashable, T]]) -> None:
        self._left: dict[Hashable, deque[T]] = {}
        self._at: Counter[Hashable] = Counter()
        for kind, thing in things:
            self._left.setdefault(kind, deque()).append(thing)

    def __len__(self) -> int:
        return sum(map(len, self._left.values()))

    def take(self, warm: Hashable | None) -> tuple[Hashable, T] | None:
        """The next for a worker that is warm for a kind (None: for none); None if nothing waits."""
        kind = warm
        if not self._left.get(warm):
            kind = max(
                (kind for kind, left in self._left.items() if left),
                key=lambda kind: len(self._left[kind]) / (self._at[kind] + 1),
                default=None,
            )
        if kind is None:
            return None
        if kind != warm:
            self._at[kind] += 1
            self._at[warm] -= 1
        thing = self._left[kind].popleft()
        if not self._left[kind]:
            del self._left[kind]
        return kind, thing

    def lost(self, warm: Hashable | None) -> None:
        """A worker that was warm for a kind is gone."""
        self._at[warm] -= 1

    def again(self, kind: Hashable, thing: T) -> None:
        """Put back what was not finished: it is the next of its kind."""
        self._left.setdefault(kind, deque()).appendleft(thing)
