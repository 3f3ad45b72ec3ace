"""How the work of a catalogue is handed out, simulated: makespan against the ideal, machines lost, memory.

    python -m benchmarks.catalog

The queue, its order and its retries are the real ones (`packshot.catalog`); workers, their times and
their losses are drawn. Times are those of one product on the bundled base, see docs/run.md, scaled to
minutes: making 300 s +- a third, loading a base 30 s.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from packshot.catalog.engine import Crew
from packshot.catalog.outcome import Outcome
from packshot.catalog.table import Product
from packshot.settings import Subject, choices_of

MAKING, SPREAD, LOADING, HIRING = 300.0, 1 / 3, 30.0, 20.0
NODE = 8
"""Workers of a machine, which are lost together."""
CLASSES = 12
_READY = -1
"""The answer of a worker that is asked whether it is there, for which nobody waits: no product has it."""


class Simulated:
    """Workers whose time is drawn; whole machines are lost at a rate an hour."""

    def __init__(self, workers: int, lost_an_hour: float, seed: int) -> None:
        self.now, self.dice, self.lost = 0.0, random.Random(seed), lost_an_hour
        self.events: list[tuple[float, int, Any, Exception | None]] = []
        self.number = itertools.count()
        self.warm: dict[int, object] = {}
        self.died: dict[int, float] = {
            node: self._next_loss() for node in range(-(-workers // NODE))
        }
        self.losses, self.work = 0, 0.0

    def _next_loss(self) -> float:
        return self.now + self.dice.expovariate(self.lost / 3600) if self.lost else float("inf")

    def hire(self, number: int) -> Any:
        """A worker; another process in the place of one that died is cold."""
        self.warm.pop(number, None)
        return _Simulated(self, number)

    def begin(self, worker: int, product: Product) -> int:
        """Begin a product: its end, or the loss of its machine, becomes an event."""
        seconds = MAKING * self.dice.uniform(1 - SPREAD, 1 + SPREAD)
        loading = 0.0 if self.warm.get(worker) == product.kind else LOADING
        self.warm[worker] = product.kind
        node, end = worker // NODE, self.now + loading + seconds
        answer = next(self.number)
        if self.died[node] < self.now:
            self.died[node] = self._next_loss()
        if self.died[node] < end:
            gone = ConnectionError("machine lost")
            heapq.heappush(self.events, (self.died[node] + HIRING, answer, product, gone))
            self.losses += 1
        else:
            self.work += seconds
            heapq.heappush(self.events, (end, answer, product, None))
        return answer

    def wait(self, answers: list[Any]) -> list[Any]:
        """The next answer, at its time."""
        if not answers:
            self.now += 1.0
            return []
        if answers == [_READY]:
            return []
        self.now, answer, product, fault = heapq.heappop(self.events)
        self.value = fault or Outcome(product.id, "done")
        return [answer]

    def get(self, answer: Any) -> Outcome:
        """The value of the answer that `wait` gave."""
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class _Simulated:
    def __init__(self, cluster: Simulated, number: int) -> None:
        self._cluster, self._number = cluster, number

    def make(self, product: Product) -> int:
        return self._cluster.begin(self._number, product)

    def ready(self) -> int:
        return _READY

    def stop(self) -> None:
        pass


def simulate(products: int, workers: int, lost_an_hour: float, seed: int = 0) -> str:
    """A row of the table."""
    dice = random.Random(seed)
    choices = choices_of()
    table = [
        Product(
            id=f"p{i}", photos="/nowhere", choices=choices,
            subject=Subject(name="x", trigger="ohwx", class_noun=f"kind{dice.randrange(CLASSES)}"),
        )
        for i in range(products)
    ]  # fmt: skip
    cluster = Simulated(workers, lost_an_hour, seed)
    tracemalloc.start()
    crew = Crew(table, workers, cluster.hire, cluster.wait, cluster.get, lambda: cluster.now)
    states: dict[str, int] = {}
    for outcome in crew.outcomes():
        states[outcome.state] = states.get(outcome.state, 0) + 1
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ideal = cluster.work / workers
    return (
        f"| {products:,} | {workers} | {lost_an_hour:.0%} | {cluster.losses} | "
        f"{states.get('failed', 0)} | {cluster.now / 3600:.1f} h | {cluster.now / ideal:.3f} | "
        f"{memory / 2**20:.0f} MiB |"
    )


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    """Print the table."""
    write("| products | workers | machines lost an hour | products lost with one | set aside | ")
    write("makespan | of the ideal | the queue's memory |\n" + "|---" * 8 + "|\n")
    for products in (1_000, 100_000):
        for workers in (8, 64, 512):
            for lost in (0.0, 0.05):
                write(simulate(products, workers, lost) + "\n")


if __name__ == "__main__":
    main()
