"""LoRAs on other bases: each has the machine's GPU for itself."""

import copy
import gc
import weakref
from functools import partial

from packshot.judging.candidates import sources_of
from packshot.judging.comparison import score_on
from tests.judging.test_candidates import judge, project, told  # noqa: F401 (fixtures)


def test_a_base_is_loaded_when_no_other_lies_there(told, tiny_base, monkeypatch):  # noqa: F811
    events, loaded = [], []
    monkeypatch.setattr(tiny_base, "make_room", lambda: events.append("room"))

    def load(name):
        gc.collect()
        events.append((name, [former() is not None for former in loaded]))
        base = copy.copy(tiny_base)
        loaded.append(weakref.ref(base))
        return base

    bases = {name: partial(load, name) for name in ("one", "two")}
    found, without = score_on(told, bases, (1.0,), sources_of(told))
    assert events == ["room", ("one", []), "room", ("two", [False])]
    assert {one.base for one in found} == set(bases) == set(without) and len(found) == 4
