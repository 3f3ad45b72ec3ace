"""Workers that die, products that fail, a stop: who is asked again, who is set aside, what comes out."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests import walking
from tests.walking import counted_loads, make_case, results, walk

from packshot.catalog import engine
from packshot.catalog.engine import BACK_OFF, ELSEWHERE, SHORTAGE, TRIES, Crew, make_all
from packshot.catalog.outcome import Outcome, log_of, project_of
from packshot.catalog.table import Product
from packshot.errors import CatalogError, InsufficientMemoryError
from packshot.settings import Subject, choices_of
from packshot.utils import preemption
from packshot.workflow import receipt


def product(number: int, class_noun: str = "car") -> Product:
    subject = Subject(name=f"p{number}", trigger="ohwx", class_noun=class_noun)
    return Product(id=f"p{number}", subject=subject, photos="/nowhere", choices=choices_of())


@dataclass
class Cluster:
    """Workers of one's own making: what each product's tries come to, in order, and how time goes."""

    answers: dict[str, list[object]] = field(default_factory=dict)
    seconds: float = 0.0
    hired: list[int] = field(default_factory=list)
    made: list[tuple[int, str, float]] = field(default_factory=list)
    told_to_stop: list[int] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)

    def hire(self, number: int):
        self.hired.append(number)
        cluster, one = self, len(self.hired)

        class Worker:
            def ready(self):
                return ConnectionError("gone") if one in cluster.ended else None

            def make(self, product):
                if one in cluster.ended:
                    return ConnectionError("gone")
                cluster.made.append((number, product.id, cluster.seconds))
                return (product.id, len(cluster.made))

            def stop(self):
                cluster.told_to_stop.append(number)

        return Worker()

    def wait(self, answers):
        self.seconds += answers != [None]  # whether a worker is there is answered at once
        return answers[:1]

    def get(self, answer):
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return None
        left = self.answers.get(answer[0], [])
        value = left.pop(0) if left else Outcome(answer[0], "done")
        if isinstance(value, Exception):
            raise value
        return value

    def crew(self, products, workers):
        return Crew(products, workers, self.hire, self.wait, self.get, lambda: self.seconds)


def test_each_product_is_made_once_and_told_of():
    cluster = Cluster()
    told = list(cluster.crew([product(i) for i in range(5)], 2).outcomes())
    assert sorted(o.id for o in told if o.state == "done") == [f"p{i}" for i in range(5)]
    assert [o.state for o in told].count("making") == 5
    assert sorted(name for _, name, _ in cluster.made) == [f"p{i}" for i in range(5)]
    assert {number for number, _, _ in cluster.made} == {0, 1} and cluster.hired == [0, 1]


def test_a_lost_worker_is_replaced_and_its_product_made_again_later_elsewhere_or_there():
    cluster = Cluster({"p1": [ConnectionError("gone"), ConnectionError("gone")]})
    told = list(cluster.crew([product(i) for i in range(3)], 1).outcomes())
    of_p1 = [o for o in told if o.id == "p1"]
    assert [o.state for o in of_p1] == ["making", "waiting", "making", "waiting", "making", "done"]
    assert of_p1[-1].tries == 3 and "its worker was lost: ConnectionError: gone" in of_p1[1].fault
    assert cluster.hired == [0, 0, 0]
    times = [at for _, name, at in cluster.made if name == "p1"]
    assert times[1] - times[0] >= BACK_OFF and times[2] - times[1] >= 2 * BACK_OFF
    assert [name for _, name, _ in cluster.made].index("p2") < 3, "the others did not wait"


def test_the_time_that_a_lost_worker_has_taken_is_told():
    cluster = Cluster({"p0": [ConnectionError("gone"), InsufficientMemoryError("full")]})
    told = list(cluster.crew([product(0)], 1).outcomes())
    assert [o.seconds for o in told if o.state == "waiting"] == [1.0, 1.0], "a second each there"


def test_where_memory_is_short_it_is_tried_again_after_minutes_and_others_go_on():
    short = InsufficientMemoryError("its machine's memory was nearly full")
    cluster = Cluster({"p0": [short, short]})
    told = list(cluster.crew([product(i) for i in range(2)], 1).outcomes())
    of_p0 = [outcome for outcome in told if outcome.id == "p0"]
    assert [o.state for o in of_p0] == ["making", "waiting", "making", "waiting", "making", "done"]
    assert of_p0[1].fault == str(short) and cluster.hired == [0, 0, 0]
    times = [at for _, name, at in cluster.made if name == "p0"]
    assert times[1] - times[0] >= SHORTAGE and times[2] - times[1] >= 2 * SHORTAGE


def test_what_fails_time_and_again_is_set_aside_and_the_others_go_on():
    cluster = Cluster({"p0": [Outcome("p0", "failed", fault="odd")] * 9})
    told = {o.id: o for o in cluster.crew([product(i) for i in range(3)], 1).outcomes()}
    assert (told["p0"].state, told["p0"].tries) == ("failed", TRIES)
    assert told["p1"].state == told["p2"].state == "done"


def test_what_another_start_is_at_is_asked_for_again_and_counts_as_no_try():
    cluster = Cluster({"p0": [Outcome("p0", "elsewhere")] * 9})
    told = list(cluster.crew([product(i) for i in range(2)], 1).outcomes())
    of_p0 = [outcome.state for outcome in told if outcome.id == "p0"]
    assert of_p0 == ["making", "elsewhere"] * 9 + ["making", "done"] and told[-1].tries == 1
    times = [at for _, name, at in cluster.made if name == "p0"]
    assert all(later - at >= ELSEWHERE for at, later in itertools.pairwise(times))


def test_photos_that_are_at_fault_are_not_tried_again():
    cluster = Cluster({"p0": [Outcome("p0", "failed", fault="no photos", is_users=True)]})
    told = list(cluster.crew([product(0)], 1).outcomes())
    assert [o.state for o in told] == ["making", "failed"] and told[-1].tries == 1


def test_a_stop_lets_products_at_hand_end_and_begins_no_other():
    cluster = Cluster({f"p{i}": [Outcome(f"p{i}", "stopped")] for i in range(2)})
    told = []
    for outcome in cluster.crew([product(i) for i in range(6)], 2).outcomes(lambda: len(told) >= 2):
        told.append(outcome)
    assert [o.state for o in told] == ["making", "making", "stopped", "stopped"]
    assert sorted(cluster.told_to_stop) == [0, 1]


@pytest.fixture
def case(tmp_path, tiny_sd1, monkeypatch):
    """A tiny base with a short recipe, photos, and an environment for the workers."""
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "no segmenters"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    walking.made_quick(monkeypatch.setattr)
    return make_case(tmp_path, tiny_sd1)


def chosen(case: Path, number: int, class_noun: str = "car") -> Product:
    choices = choices_of(base=str(case / "base"), **walking.OPTIONS)
    subject = Subject(name="Duster", trigger="ohwx", class_noun=class_noun)
    return Product(id=f"p{number}", subject=subject, photos=str(case / "photos"), choices=choices)


@pytest.mark.slow
@pytest.mark.minutes
def test_products_are_those_of_run_their_base_is_loaded_once_and_a_killed_worker_loses_none(case):
    """Three products by a worker that is killed in the second: as `run` makes them, byte for byte."""
    alone = walk(case).project
    (case / "cache").mkdir(exist_ok=True)
    out, killed = case / "catalogue", []
    products = [chosen(case, number) for number in range(3)]
    told = []
    for outcome in make_all(products, str(out), workers=1, prepare=counted_loads):
        told.append(outcome)
        if outcome.state == "making" and outcome.id == "p1" and not killed:
            pids = (case / "cache" / "loads").read_text().split()
            killed.append(int(pids[-1]))
            os.kill(killed[0], signal.SIGKILL)
    last = {outcome.id: outcome for outcome in told}
    assert {outcome.state for outcome in last.values()} == {"done"}, last
    assert last["p1"].tries == 2 and killed
    loads = (case / "cache" / "loads").read_text().split()
    assert len(loads) == len(set(loads)) == 2, "once in each worker's life"
    for number in range(3):
        made = results(project_of(out, products[number]).root)
        assert made == results(alone.root)
    assert "done after" in log_of(out, products[0].id).read_text()
    again = [outcome for outcome in make_all(products, str(out), workers=1, prepare=counted_loads)]
    assert all(outcome.was_complete for outcome in again if outcome.state == "done")
    assert (case / "cache" / "loads").read_text().split() == loads


FIRST_START = """
{first}
from packshot.catalog.engine import _ray
with _ray(None, 1) as started:
    answer = started.remote(lambda: 7)
    assert started.get(answer.remote()) == 7
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "import ray"])
def test_the_first_start_of_all_has_a_token_also_where_ray_was_imported_before(first, tmp_path):
    pytest.importorskip("ray")
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    script = FIRST_START.format(first=first)
    subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=180, env=env | {"HOME": str(tmp_path)}
    )
    assert (tmp_path / ".ray" / "auth_token").read_text()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere"])
def test_a_cluster_that_is_not_there_is_told(tmp_path, address):
    with pytest.raises(CatalogError, match=f"There is no Ray cluster at {address}"):
        list(make_all([product(0)], str(tmp_path), address=address))


def test_other_versions_on_a_machine_are_told():
    theirs = receipt.versions() | {"torch": "1.0"}
    with pytest.raises(CatalogError, match=r"machine 10\.0\.0\.7 has torch 1\.0 \("):
        engine._check_versions(theirs, "10.0.0.7", receipt.versions())
    with pytest.raises(CatalogError, match="install the same versions"):
        engine.Worker("out", "start", theirs, ())


class Ray:
    """As much of Ray as a look at it needs."""

    class exceptions:
        RayError = ConnectionError

    def __init__(self, alive: list[bool], come: list[object] = ()):
        self.alive, self.come = alive, come

    def nodes(self):
        return [{"Alive": each} for each in self.alive]

    def wait(self, answers, num_returns, timeout):
        return self.come, answers

    def get(self, answer):
        if isinstance(answer, Exception):
            raise answer


def test_a_ray_that_is_gone_is_told_and_one_that_lost_a_machine_goes_on():
    engine._check_alive(Ray([False, True]))
    with pytest.raises(CatalogError, match="Ray was ended by something else"):
        engine._check_alive(Ray([False]))


def test_workers_that_cannot_be_started_are_told_before_work_begins():
    engine._await_one(Ray([True], [1]), [1, 2])
    with pytest.raises(CatalogError, match="No worker was started within 10 minutes"):
        engine._await_one(Ray([True]), [1])
    fault = ConnectionError("no module packshot")
    with pytest.raises(CatalogError, match=r"No worker can be started: .*no module packshot"):
        engine._await_one(Ray([True], [fault]), [1])


def test_what_a_worker_stops_as_its_machine_is_taken_away_is_gone_on_with_by_another():
    cluster = Cluster({"p0": [Outcome("p0", "stopped")] * 5})
    told = [o for o in cluster.crew([product(i) for i in range(2)], 1).outcomes() if o.id == "p0"]
    assert [o.state for o in told] == ["making", "waiting"] * 5 + ["making", "done"]
    assert "SIGTERM" in told[1].fault and told[-1].tries == 1, "it is no try that failed"
    assert len(cluster.hired) == 6


def test_a_worker_that_ends_with_nothing_at_hand_costs_its_next_product_no_try():
    cluster = Cluster({"p0": [Outcome("p0", "elsewhere")]})
    told = []
    for outcome in cluster.crew([product(0)], 1).outcomes():
        told.append(outcome)
        if outcome.state == "elsewhere":
            cluster.ended.add(1)
    assert [o.state for o in told] == ["making", "elsewhere", "making", "done"]
    assert told[-1].tries == 1 and cluster.hired == [0, 0]


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_worker_that_sigterm_reaches_stops_what_is_at_hand_or_breaks_it_off(
    monkeypatch, is_patient
):
    """Ray lets it work in a thread beside the main one, which signals come to."""
    monkeypatch.setattr(preemption, "PATIENCE", 60.0 if is_patient else 0.05)
    begun = threading.Event()

    def make(product, out, start, should_stop):
        begun.set()
        try:
            while not (is_patient and should_stop()):
                time.sleep(0.005)
        except KeyboardInterrupt:  # as the training loop does
            return Outcome(product.id, "stopped", fault="broken off")
        return Outcome(product.id, "stopped")

    monkeypatch.setattr(engine, "make", make)
    worker = engine.Worker("out", "start", receipt.versions(), ())
    with worker._warm, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(worker.make, product(0))
        assert begun.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)
        assert answer.result(60).fault == ("" if is_patient else "broken off")
    with engine.Worker("out", "start", receipt.versions(), ())._warm, pytest.raises(SystemExit):
        os.kill(os.getpid(), signal.SIGTERM)  # with nothing at hand


def test_what_a_worker_has_no_memory_for_is_tried_again_after_minutes():
    short = Outcome("p0", "failed", fault="not enough", lacked_memory=True)
    cluster = Cluster({"p0": [short, short]})
    told = [o for o in cluster.crew([product(0)], 1).outcomes() if o.id == "p0"]
    assert told[-1].state == "done" and cluster.hired == [0], "the worker itself is there"
    times = [at for _, name, at in cluster.made if name == "p0"]
    assert times[1] - times[0] >= SHORTAGE and times[2] - times[1] >= 2 * SHORTAGE


@pytest.mark.parametrize(("address", "hired"), [(None, 2), ("10.0.0.7:6379", 4)])
def test_here_are_no_more_workers_than_gpus_a_cluster_may_grow(monkeypatch, address, hired):
    """A worker that gets none waits for it for good, and so does the product that it was given."""

    class Gpus(Ray):
        def cluster_resources(self):
            return {"CPU": 8.0, "GPU": 2.0}

    made = []

    def actor(ray, gpus, *given):
        made.append(gpus)
        return Cluster().hire(0)

    monkeypatch.setattr(engine, "_ray", lambda *_: contextlib.nullcontext(Gpus([True])))
    monkeypatch.setattr(engine, "_check_machines", lambda ray: None)
    monkeypatch.setattr(engine, "_await_one", lambda *_: None)
    monkeypatch.setattr(engine, "metered", lambda outcomes, count: iter(()))
    monkeypatch.setattr(engine, "_Actor", actor)
    list(make_all([product(number) for number in range(5)], "out", address=address, workers=4))
    assert made == [1] * hired
