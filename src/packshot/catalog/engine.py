"""Workers of a catalogue, on Ray: here, or on a cluster that is there already.

Ray starts processes, places them on GPUs and notices when one dies; what a product is, what is done
already and how it goes on stays in the product's project. A worker is one process with one GPU (or, where
there is none, its share of the cores), which keeps the base that it loaded last.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from packshot.catalog.making import make
from packshot.catalog.metrics import metered
from packshot.catalog.order import Waiting
from packshot.catalog.outcome import Outcome
from packshot.catalog.table import Product
from packshot.errors import CatalogError, InsufficientMemoryError, reason_of
from packshot.utils.preemption import interrupt, told_by_sigterm
from packshot.workflow.receipt import versions

TRIES = 3
"""After so many failures for which its photos and settings are not to blame a product is set aside."""
BACK_OFF = 2.0
"""Seconds before the second try; before each later one twice as long."""
SHORTAGE = 60.0
"""The same where a machine had no memory left: what others take there, they take for minutes."""
_START = 600.0
"""Seconds that the first worker has to come."""
_LOOK = 10.0
"""Seconds between two looks at whether Ray is there."""
ELSEWHERE = 30.0
"""Seconds before a product is asked for again that another start of the catalogue is at."""

TERMINATED = 143
"""The exit code of a worker that SIGTERM has ended."""
_TAKEN = "its machine is being taken away (SIGTERM); what was trained is saved"
_FULL = (
    "its machine's memory was nearly full, and Ray ended its worker. Close other programs there, or take "
    "fewer --workers"
)

Prepare = Callable[[], object]


class Worker:
    """What a process of the cluster does; Ray makes an actor of it."""

    def __init__(
        self,
        out: str,
        start: str,
        theirs: dict[str, str],
        cores: Sequence[int],
        prepare: Prepare | None = None,
    ) -> None:
        """
        Args:
            out, start: as of `making.make`.
            theirs: the versions of whoever hands out the work.
            cores: those to compute on; empty for all, or where the system has no such choice.
            prepare: is called first.

        Raises:
            CatalogError: this machine has other versions.
        """
        _check_versions(versions(), socket.gethostname(), theirs)
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, set(cores))  # before PyTorch counts them
        if prepare:
            prepare()
        from packshot.models import kept_base

        self._out, self._start, self._stop = out, start, threading.Event()
        self._at_work: int | None = None  # the thread that makes a product
        self._warm = contextlib.ExitStack()
        self._warm.enter_context(kept_base())
        self._warm.enter_context(told_by_sigterm(self._terminate, self._break_off))

    def ready(self) -> None:
        """Answers once the worker is there."""

    def make(self, product: Product) -> Outcome:
        """Make a product; see `making.make`."""
        from packshot.models import set_kept_aside

        self._at_work = threading.get_ident()
        try:
            set_kept_aside()
            return make(product, self._out, self._start, self._stop.is_set)
        finally:
            self._at_work = None

    def stop(self) -> None:
        """Let the product at hand stop with its state saved."""
        self._stop.set()

    def _terminate(self) -> None:
        """End, as this process's machine is about to be taken away."""
        if self._at_work is None:
            raise SystemExit(TERMINATED)
        self.stop()

    def _break_off(self) -> None:
        if self._at_work is not None:
            interrupt(self._at_work)


class Hired(Protocol):
    """A worker, from where the work is handed out."""

    def ready(self) -> Any:
        """An answer to wait for, that comes once it is there."""

    def make(self, product: Product) -> Any:
        """Have it made; an answer to wait for, whose value is an `Outcome`."""

    def stop(self) -> None:
        """See `Worker.stop`."""


class _Actor:
    """A `Worker` somewhere in Ray's cluster."""

    def __init__(self, ray: Any, gpus: int, *given: Any) -> None:
        # In a thread of its own, so that it is heard while a product is made.
        actor = ray.remote(concurrency_groups={"control": 1})(Worker)
        self.actor = actor.options(num_gpus=gpus, num_cpus=1).remote(*given)

    def ready(self) -> Any:
        return self.actor.ready.remote()

    def make(self, product: Product) -> Any:
        return self.actor.make.remote(product)

    def stop(self) -> None:
        self.actor.stop.options(concurrency_group="control").remote()


class _Making(NamedTuple):
    """A product at a worker."""

    worker: int
    product: Product
    since: float


class Crew:
    """The workers, what each is warm for, and what waits.

    Args:
        hire: starts worker number i.
        wait: of some answers those that have come within a second.
        get: an answer's value; raises what broke it, InsufficientMemoryError if it was ended for the
            sake of others on its machine.
    """

    def __init__(
        self,
        products: Sequence[Product],
        workers: int,
        hire: Callable[[int], Hired],
        wait: Callable[[list[Any]], list[Any]],
        get: Callable[[Any], Any],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = Waiting((product.kind, product) for product in products)
        self._hire, self._wait, self._get, self._now = hire, wait, get, now
        self.workers = {number: hire(number) for number in range(workers)}
        self._warm: dict[int, Any] = dict.fromkeys(self.workers)
        self._idle = list(self.workers)
        self._busy: dict[Any, _Making] = {}
        self._later: list[tuple[float, str, Product]] = []
        self._tries: dict[str, int] = {}
        self._stopping = False

    def outcomes(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
        """Make everything that waits; each outcome as it comes, also those of "making".

        Once `should_stop`, products at hand end with their state saved; those that wait stay.
        """
        while self._busy or (not self._stopping and (self._waiting or self._later)):
            self._stop(should_stop())
            if not self._stopping:
                yield from self._hand_out()
            for answer in self._wait(list(self._busy)):
                # A product that the same stop has ended is not begun again.
                self._stop(should_stop())
                yield self._settle(self._busy.pop(answer), answer)

    def _stop(self, is_wanted: bool) -> None:
        """Have products at hand end, and begin no other; once."""
        if is_wanted and not self._stopping:
            self._stopping = True
            for worker in self.workers.values():
                worker.stop()

    def _hand_out(self) -> Iterator[Outcome]:
        while self._later and self._later[0][0] <= self._now():
            _, _, product = heapq.heappop(self._later)
            self._waiting.again(product.kind, product)
        while self._idle and self._waiting:
            number = self._idle.pop()
            if self._has_ended(number):
                self._replace(number)
            taken = self._waiting.take(self._warm[number])
            assert taken is not None, "something waits"
            self._warm[number], product = taken
            self._busy[self.workers[number].make(product)] = _Making(number, product, self._now())
            yield Outcome(product.id, "making", tries=self._tries.get(product.id, 0) + 1)

    def _has_ended(self, number: int) -> bool:
        """Whether a worker has ended since its last product: of the next that would be a failed try."""
        if self._warm[number] is None:  # it may be on its way
            return False
        answer = self.workers[number].ready()
        try:
            for come in self._wait([answer]):
                self._get(come)
        except Exception:  # its process or its machine is gone
            return True
        return False

    def _settle(self, making: _Making, answer: Any) -> Outcome:
        product = making.product
        self._idle.append(making.worker)
        self._tries[product.id] = self._tries.get(product.id, 0) + 1
        try:
            outcome: Outcome = self._get(answer)
        except InsufficientMemoryError as error:
            outcome = replace(self._lost(making, str(error)), lacked_memory=True)
        except Exception as error:  # the process or its machine is gone
            outcome = self._lost(making, f"its worker was lost: {reason_of(error)}")
        if outcome.state == "stopped" and not self._stopping:  # by SIGTERM: the worker ends
            self._again_elsewhere(making)
            return replace(outcome, state="waiting", fault=_TAKEN, tries=self._tries[product.id])
        if outcome.state == "elsewhere":
            self._tries[product.id] -= 1
            heapq.heappush(self._later, (self._now() + ELSEWHERE, product.id, product))
            return replace(outcome, tries=self._tries[product.id])
        tries = self._tries[product.id]
        if outcome.state == "failed" and not outcome.is_users and tries < TRIES:
            pause = SHORTAGE if outcome.lacked_memory else BACK_OFF
            again = self._now() + pause * 2 ** (tries - 1)
            heapq.heappush(self._later, (again, product.id, product))
            return replace(outcome, state="waiting", tries=tries)
        return replace(outcome, tries=tries)

    def _lost(self, making: _Making, why: str) -> Outcome:
        """What came of a product whose worker is gone; the time that it took is paid for all the same."""
        self._replace(making.worker)
        took = round(self._now() - making.since, 1)
        return Outcome(making.product.id, "failed", took, fault=why)

    def _replace(self, number: int) -> None:
        """Have another worker in the place of one that is gone."""
        self._waiting.lost(self._warm[number])
        self._warm[number] = None
        self.workers[number] = self._hire(number)

    def _again_elsewhere(self, making: _Making) -> None:
        """Have a product gone on with by another worker; it is no failed try."""
        self._tries[making.product.id] -= 1
        self._waiting.again(making.product.kind, making.product)
        self._replace(making.worker)


def make_all(
    products: Sequence[Product],
    out: str,
    *,
    address: str | None = None,
    workers: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    prepare: Prepare | None = None,
) -> Iterator[Outcome]:
    """Make products on Ray; yields each outcome as it comes, see `Crew.outcomes`.

    Args:
        out: the catalogue's folder, on a cluster one that all of its machines see; or a URL in a store.
        address: of a cluster (HOST:PORT, ray://HOST:PORT, "auto"); None starts Ray here, for this alone.
        workers: processes; None for one a GPU, or one in all where there is none. Of those that are
            started here no more than there are GPUs.
        prepare: each worker calls it first; it can be imported there.

    Raises:
        CatalogError: Ray is not installed, the cluster is not there, or a machine of it has others of
            the packages that results depend on.
    """
    with _ray(address, workers) as ray:
        if address is not None:
            _check_machines(ray)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        count = min(workers or gpus or 1, max(1, len(products)))
        if address is None and gpus:
            count = min(count, gpus)  # one more would wait for a GPU for good, with its product
        here = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        start = secrets.token_hex(8)
        share = len(here) // count if address is None and not gpus and count > 1 else 0

        looked = time.monotonic()

        def hire(number: int) -> _Actor:
            cores = here[number * share : (number + 1) * share]
            return _Actor(ray, min(1, gpus), out, start, versions(), cores, prepare)

        def wait(answers: list[Any]) -> list[Any]:
            nonlocal looked
            if not answers:
                time.sleep(0.1)
                return []
            come: list[Any] = ray.wait(answers, num_returns=1, timeout=1.0)[0]
            if not come and time.monotonic() - looked > _LOOK:
                _check_alive(ray)
                looked = time.monotonic()
            return come

        def get(answer: Any) -> Any:
            try:
                return ray.get(answer)
            except ray.exceptions.OutOfMemoryError as error:
                raise InsufficientMemoryError(_FULL) from error

        crew = Crew(products, count, hire, wait, get)
        _await_one(ray, [worker.ready() for worker in crew.workers.values()])
        yield from metered(crew.outcomes(should_stop), len(products))


def _await_one(ray: Any, answers: list[Any]) -> None:
    """Wait until the first of the workers is there; what is handed to the others waits for them.

    Raises:
        CatalogError: it cannot be started, or there is no room for any.
    """
    come = ray.wait(answers, num_returns=1, timeout=_START)[0]
    if not come:
        raise CatalogError(
            f"No worker was started within {_START / 60:.0f} minutes: the cluster has no free GPU or core."
        )
    try:
        ray.get(come[0])
    except ray.exceptions.RayError as error:
        raise CatalogError(f"No worker can be started: {reason_of(error)}") from error


def _check_alive(ray: Any) -> None:
    """See that Ray itself is there: answers of one that was killed are waited for forever.

    Raises:
        CatalogError: it is not.
    """
    if not any(node["Alive"] for node in ray.nodes()):
        raise CatalogError("Ray was ended by something else. The same command goes on from here.")


@contextlib.contextmanager
def _ray(address: str | None, workers: int | None) -> Iterator[Any]:
    """Ray, connected; one that was started here ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of this leaves the machine
    if "ray" not in sys.modules:  # which reads it once; then it asks for a token by itself
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # for Ray's ports are open to the network
    try:
        import ray
    except ImportError as error:
        raise CatalogError('A catalogue needs Ray: pip install "packshot[catalog]"') from error
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address is None:
        options |= {"num_cpus": workers or os.cpu_count(), "include_dashboard": False}
    try:
        _knock(address)
        ray.init(address or "local", **options)
    except (OSError, RuntimeError, ValueError) as error:
        why = reason_of(error).rstrip(".")
        if address is None:
            raise CatalogError(f"Ray does not start on this machine: {why}.") from error
        raise CatalogError(
            f"There is no Ray cluster at {address}: {why}. Start one (ray start --head), or leave out "
            "--address to work on this machine."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """See whether anything listens at HOST:PORT: Ray itself asks for minutes.

    Raises:
        OSError: nothing does.
        ValueError: it is no HOST:PORT.
    """
    if address not in (None, "auto"):
        parts = urlsplit(address if "://" in address else f"//{address}")
        if parts.hostname is None or parts.port is None:
            raise ValueError("an address is HOST:PORT")
        socket.create_connection((parts.hostname, parts.port), timeout=10).close()


def _check_machines(ray: Any) -> None:
    """See that all machines of a cluster that work have what results depend on, in our versions.

    Raises:
        CatalogError: one has not.
    """

    def versions_there(
        names: Sequence[str],
    ) -> dict[str, str]:  # sent whole: Packshot may not be there
        from importlib.metadata import PackageNotFoundError, version

        found = {}
        for name in names:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "not installed"
        return found

    ask = ray.remote(num_cpus=0)(versions_there)
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                node["NodeID"], soft=False
            )
            answer = ask.options(scheduling_strategy=there).remote(list(versions()))
            _check_versions(ray.get(answer), node["NodeManagerAddress"], versions())


def _check_versions(theirs: dict[str, str], machine: str, ours: dict[str, str]) -> None:
    if differing := [name for name in ours if ours[name] != theirs[name]]:
        told = ", ".join(f"{name} {theirs[name]} ({ours[name]} here)" for name in differing)
        raise CatalogError(
            f"The cluster's machine {machine} has {told}. Files would differ: install the same versions."
        )
