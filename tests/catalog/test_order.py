"""The order of work: warm first, each once, all kinds ending together, none left behind."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from packshot.catalog.order import Waiting


def kinds_taken(waiting: Waiting[int], workers: int) -> list[list[object]]:
    """Each worker's kinds in turn, where all products take the same time."""
    warm: list[object | None] = [None] * workers
    taken: list[list[object]] = [[] for _ in range(workers)]
    while waiting:
        for number in range(workers):
            if found := waiting.take(warm[number]):
                warm[number] = found[0]
                taken[number].append(found[0])
    return taken


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 5))
def test_each_is_taken_once_and_a_worker_leaves_a_kind_only_when_it_is_used_up(kinds, workers):
    waiting = Waiting((kind, index) for index, kind in enumerate(kinds))
    left = list(kinds)
    warm: list[object | None] = [None] * workers
    seen = []
    dice = random.Random(len(kinds))
    while waiting:
        number = dice.randrange(workers)
        kind, index = waiting.take(warm[number])
        if warm[number] is not None and kind != warm[number]:
            assert warm[number] not in left, "there was more of its own kind"
        warm[number] = kind
        left.remove(kind)
        seen.append(index)
    assert sorted(seen) == list(range(len(kinds)))
    assert waiting.take(None) is None and waiting.take("gone") is None


def test_workers_spread_by_what_is_left():
    waiting = Waiting([("car", i) for i in range(60)] + [("mug", i) for i in range(20)])
    taken = kinds_taken(waiting, 4)
    assert sorted(set(kinds[0] for kinds in taken)) == ["car", "mug"]
    assert sum(kinds[0] == "car" for kinds in taken) == 3
    assert sum(len(set(kinds)) - 1 for kinds in taken) <= 1, "bases are changed once at most"


def test_what_was_not_finished_is_next_of_its_kind():
    waiting = Waiting([("car", 1), ("car", 2)])
    assert waiting.take("car") == ("car", 1)
    waiting.again("car", 1)
    assert len(waiting) == 2
    assert waiting.take("car") == ("car", 1) and waiting.take("car") == ("car", 2)
    waiting.again("mug", 3)
    waiting.lost("car")
    assert waiting.take(None) == ("mug", 3)
