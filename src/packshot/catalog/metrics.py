"""What a catalogue tells Prometheus, through Ray's own metrics.

A cluster with `ray[default]` exports them from each machine, beside Ray's; elsewhere they go nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packshot.catalog.outcome import Outcome

ENDED = ("done", "failed")
"""States after which a product is asked for no more."""


def metered(outcomes: Iterable[Outcome], count: int) -> Iterator[Outcome]:
    """The outcomes, told to Ray's metrics as they pass; Ray is running.

    `ray_packshot_outcomes_total` counts them by state, `ray_packshot_making_seconds_total` what products
    that ended took, and the gauge `ray_packshot_products` tells how many are "making", "done", "failed",
    and how many "waiting" still.

    Args:
        count: all products.
    """
    from ray.util.metrics import Counter, Gauge

    told = Counter("packshot_outcomes", "Outcomes of products.", tag_keys=("state",))
    seconds = Counter("packshot_making_seconds", "Seconds that products took.")
    products = Gauge("packshot_products", "Products by state.", tag_keys=("state",))
    states: dict[str, str] = {}
    known = dict.fromkeys(("making", *ENDED), 0)

    def show() -> None:
        for state, number in {**known, "waiting": count - sum(known.values())}.items():
            products.set(number, tags={"state": state})

    show()
    for outcome in outcomes:
        for state, change in ((states.get(outcome.id), -1), (outcome.state, 1)):
            if state in known:
                known[state] += change
        states[outcome.id] = outcome.state
        told.inc(1, tags={"state": outcome.state})
        if outcome.state in ENDED and outcome.seconds > 0:
            seconds.inc(outcome.seconds)
        show()
        yield outcome
