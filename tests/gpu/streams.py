"""Streams of a simulated GPU: what is copied on one of them lands as late as it may.

What computes is carried out at once, on the first stream. A copy on another one is carried out only when
the first stream waits for an event after it: without that, what computes finds what lay there before. From
memory that is not pinned, the CPU waits for it. That a copy comes too early, while what was given to the
GPU before still reads what lies there, no order of carrying out shows; it is found by the events that each
stream has waited for (vector clocks), as by compute-sanitizer: see `Streams.races`.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_leaves


class Event:
    """A moment of a stream: what had been given to it and to those it waited for, by their numbers."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.seen = stream, dict(stream.seen)


class Stream:
    """What is done one after the other. `seen`: the last known moment of each stream, by its number."""

    def __init__(self, number: int) -> None:
        self.number, self.seen = number, {number: 0}
        self.waiting: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def record_event(self) -> Event:
        return Event(self)

    def wait_event(self, event: Event) -> None:
        for number, moment in event.seen.items():
            self.seen[number] = max(self.seen.get(number, 0), moment)
        if self.number == 0:
            event.stream.land(event.seen[event.stream.number])

    def land(self, moment: int) -> None:
        """Carry out the copies up to a moment."""
        while self.waiting and self.waiting[0][0] <= moment:
            _, there, given = self.waiting.pop(0)
            there.copy_(given)


class Streams:
    """The first stream, the present one, and what was found of those in use.

    Attributes:
        races: what was used on two streams without an event between.
        log: what happened: "copy", and what a test adds.
        pinned: sizes of what is locked in main memory, by address.
        lockable: bytes that can be locked.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.first = self.current = Stream(0)
        self.made = 0
        self.races: list[str] = []
        self.log: list[str] = []
        self.pinned: dict[int, int] = {}
        self.lockable = 2**60
        self.fails_next = False
        self._used: weakref.WeakKeyDictionary[Any, dict[tuple[int, bool], int]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def is_aside(self) -> bool:
        return self.current is not self.first

    def make(self) -> Stream:
        self.made += 1
        return Stream(self.made)

    @contextlib.contextmanager
    def entered(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def watch(self, tensor: torch.Tensor) -> None:
        """Look for races in a tensor's memory."""
        self._used.setdefault(tensor.untyped_storage(), {})

    def use(self, func: Any, given: Any) -> None:
        """An operation on what is in `given` is given to the present stream."""
        if self.fails_next:
            self.fails_next = False
            raise RuntimeError("CUDA error: out of memory")
        stream = self.current
        stream.seen[stream.number] += 1
        if not self._used:
            return
        written = [
            one.alias_info is not None and one.alias_info.is_write for one in func._schema.arguments
        ]
        for place, one in enumerate(tree_leaves(given)):
            one = getattr(one, "held", one)
            if not isinstance(one, torch.Tensor):
                continue
            uses = self._used.get(one.untyped_storage())
            if uses is None:
                continue
            writes = place < len(written) and written[place]
            for (number, wrote), moment in uses.items():
                if (wrote or writes) and stream.seen.get(number, 0) < moment:
                    self.races.append(f"{func} on stream {stream.number} after one on {number}")
            uses[stream.number, writes] = stream.seen[stream.number]

    def copy(self, there: torch.Tensor, given: torch.Tensor) -> None:
        """A copy is given to the present stream, which is not the first."""
        stream, address = self.current, given.data_ptr()
        stream.waiting.append((stream.seen[stream.number], there, given))
        self.log.append("copy")
        if not any(start <= address < start + size for start, size in self.pinned.items()):
            stream.land(stream.seen[stream.number])

    def cudaHostRegister(self, address: int, size: int, _: int) -> int:
        if sum(self.pinned.values()) + size > self.lockable:
            self.fails_next = True  # as CUDA tells it to whatever is asked next
            return 2
        self.pinned[address] = size
        return 0

    def cudaHostUnregister(self, address: int) -> int:
        self.pinned.pop(address, None)
        return 0
