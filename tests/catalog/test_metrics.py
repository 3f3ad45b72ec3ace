"""What Ray's metrics are told of a catalogue, against counts by hand."""

from __future__ import annotations

import sys
from collections import defaultdict
from types import SimpleNamespace

import pytest

from packshot.catalog.metrics import metered
from packshot.catalog.outcome import Outcome

SAID = (
    ("a", "making", 0.0), ("b", "making", 0.0), ("a", "waiting", 2.0), ("b", "done", 30.0),
    ("a", "making", 0.0), ("a", "done", 12.0), ("c", "making", 0.0), ("c", "failed", 0.0),
)  # fmt: skip


@pytest.fixture
def shown(monkeypatch):
    """What each metric has, by its name and state."""
    values: dict[tuple[str, str], float] = defaultdict(float)

    class Recorded:
        def __init__(self, name, description, tag_keys=()):
            assert description
            self.name, self.keys = name, set(tag_keys)

        def inc(self, value, tags=None):
            assert value > 0, "Ray takes no other"
            assert set(tags or {}) == self.keys
            values[self.name, (tags or {}).get("state", "")] += value

        def set(self, value, tags):
            assert set(tags) == self.keys
            values[self.name, tags["state"]] = value

    for name in ("ray", "ray.util"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    recorded = SimpleNamespace(Counter=Recorded, Gauge=Recorded)
    monkeypatch.setitem(sys.modules, "ray.util.metrics", recorded)
    return values


def test_products_are_counted_by_state_as_they_are_made(shown):
    outcomes = (Outcome(id, state, seconds) for id, state, seconds in SAID)
    passing = metered(outcomes, 4)
    by_step = []
    for outcome in passing:
        by_step.append({s: shown["packshot_products", s] for s in ("waiting", "making", "done")})
        assert outcome.id in "abc"
    assert by_step[1] == {"waiting": 2, "making": 2, "done": 0}
    assert by_step[2] == {"waiting": 3, "making": 1, "done": 0}, "a is tried again"
    assert by_step[-1] == {"waiting": 1, "making": 0, "done": 2}
    assert shown["packshot_products", "failed"] == 1
    assert shown["packshot_outcomes", "making"] == 4 and shown["packshot_outcomes", "done"] == 2
    assert shown["packshot_making_seconds", ""] == 42


def test_before_the_first_all_wait(shown):
    assert list(metered([], 3)) == []
    assert shown["packshot_products", "waiting"] == 3
