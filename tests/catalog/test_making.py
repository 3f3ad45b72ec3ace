"""Products for a store: published whole, made once by whoever is at it, gone on with elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image
from tests import walking
from tests.object_store import BUCKET, served
from tests.walking import make_case, results, walk

from packshot.catalog import claims, making
from packshot.catalog import store as stores
from packshot.catalog.making import make, scratch_of
from packshot.catalog.outcome import project_of
from packshot.catalog.publishing import fetch
from packshot.catalog.store import Store
from packshot.catalog.table import Product
from packshot.errors import DiskFullError, InsufficientMemoryError, NoUsablePhotosError
from packshot.project import Project
from packshot.settings import Subject, choices_of
from packshot.utils import files, hashing
from packshot.workflow.result import RunResult

OUT = f"s3://{BUCKET}/catalogue"
SETTINGS = b'[subject]\nname = "p1"\ntrigger = "ohwx"\nclass_noun = "car"\n'
FILES = {"packshot.toml": SETTINGS, "lora/p1.safetensors": b"lora", "report.html": b"report"}


@dataclass
class Steps:
    """Stands in for the path of one product: what each call does, in turn; at last it succeeds."""

    plan: list[object] = field(default_factory=list)
    begun_with: list[set[str]] = field(default_factory=list)

    def run(self, source, *, root, observer, **_):
        there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        self.begun_with.append(there)
        what = self.plan.pop(0) if self.plan else None
        if isinstance(what, BaseException):
            files.write_bytes(root / "half", b"half")
            raise what
        for name, content in FILES.items():
            files.write_bytes(root / name, content)
        files.write_image(root / "shots" / "sheet.png", Image.new("RGB", (800, 600)))
        if callable(what):
            what()
        return RunResult(
            Project(root), {}, None, root / "report.html", stopped=what == "stop" or observer.should_stop()
        )  # fmt: skip


@pytest.fixture
def steps(monkeypatch):
    monkeypatch.setattr(stores, "PAUSE", 0.001)
    steps = Steps()
    monkeypatch.setattr(making.end_to_end, "run", steps.run)
    return steps


@pytest.fixture
def store(monkeypatch):
    with served(monkeypatch.setenv):
        yield Store(OUT)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Goes to the machine of a name, each with a scratch of its own."""

    def go(name):
        monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / name))

    go("first")
    return go


@pytest.fixture
def product(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")
    subject = Subject(name="p1", trigger="ohwx", class_noun="car")
    return Product(
        id="p1", subject=subject, photos=str(tmp_path / "photos"), choices=choices_of(seed=1)
    )


def test_what_is_made_is_published_and_stands(store, machine, steps, product):
    outcome = make(product, OUT, "one")
    assert (outcome.state, outcome.was_complete) == ("done", False)
    for name, content in FILES.items():
        assert store.read(f"products/p1/{name}") == content
    assert store.read("thumbnails/p1.jpg") and b"done after" in store.read("logs/p1.log")
    assert not project_of(scratch_of(store), product).root.exists()
    assert not store.stamps("claims/p1") and not store.stamps("unfinished")
    machine("second")
    again = make(product, OUT, "two")
    assert (again.state, again.was_complete, len(steps.begun_with)) == ("done", True, 1)


def test_other_inputs_make_it_anew_from_what_stands(store, machine, steps, product):
    make(product, OUT, "one")
    (Path(product.photos) / "b.jpg").write_bytes(b"b")
    machine("second")
    outcome = make(product, OUT, "two")
    assert outcome.state == "done" and not outcome.was_complete
    assert steps.begun_with[1] >= FILES.keys()


def test_what_the_table_calls_otherwise_is_begun_anew(store, machine, steps, product):
    make(product, OUT, "one")
    for name in ("bus", "car"):
        settings = b'[subject]\nname = "p1"\ntrigger = "ohwx"\nclass_noun = "bus"\n'
        store.write("products/p1/packshot.toml", settings)
        marker = json.loads(store.read("products/p1/published.json"))
        marker["files"]["packshot.toml"] = hashing.sha256_of(settings)
        store.write("products/p1/published.json", json.dumps(marker).encode())
        subject = Subject(name="p1", trigger="ohwx", class_noun=name)
        changed = product.model_copy(update={"subject": subject, "choices": choices_of(seed=2)})
        assert make(changed, OUT, "one").state == "done"
        assert bool(steps.begun_with[-1]) == (name == "bus")


class Killed(BaseException):
    pass


def test_a_kill_between_upload_and_marker_loses_nothing(
    store, machine, steps, product, monkeypatch
):
    write = Store.write

    def mortal(self, name, content):
        if name.endswith("p1/published.json"):
            raise Killed
        write(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", mortal)
        with pytest.raises(Killed):
            make(product, OUT, "one")
    assert store.read("products/p1/report.html") and not store.read("products/p1/published.json")
    outcome = make(product, OUT, "one")
    assert outcome.state == "done" and steps.begun_with[1] >= FILES.keys(), "all was there already"
    assert store.read("products/p1/published.json")


def test_what_was_stopped_goes_on_on_another_machine(store, machine, steps, product):
    steps.plan = ["stop"]
    assert make(product, OUT, "one").state == "stopped"
    assert not store.stamps("products")
    machine("second")
    assert make(product, OUT, "two").state == "done"
    assert steps.begun_with[1] >= FILES.keys() and not store.stamps("unfinished")


@pytest.mark.parametrize(
    ("fault", "is_users"),
    [
        (NoUsablePhotosError("none"), True), (DiskFullError("full"), False),
        (InsufficientMemoryError("not enough"), False),
    ],
)  # fmt: skip
def test_what_fails_is_told_and_its_state_kept(store, machine, steps, product, fault, is_users):
    steps.plan = [fault]
    outcome = make(product, OUT, "one")
    assert (outcome.state, outcome.is_users, outcome.fault) == ("failed", is_users, str(fault))
    assert outcome.lacked_memory == isinstance(fault, InsufficientMemoryError)
    assert str(fault).encode() in store.read("logs/p1.log")
    machine("second")
    assert make(product, OUT, "two").state == "done" and "half" in steps.begun_with[1]


def test_another_start_leaves_it_alone_meanwhile(store, machine, steps, product):
    told = []
    steps.plan = [lambda: told.append(make(product, OUT, "two"))]
    assert make(product, OUT, "one").state == "done"
    assert [outcome.state for outcome in told] == ["elsewhere"]


def test_who_lost_it_publishes_nothing(store, machine, steps, product):
    """A worker that was taken for lost: its product was given to another, of the same start."""

    def other():
        machine("second")
        assert make(product, OUT, "one").state == "done"
        store.write("products/p1/report.html", b"the other's")
        machine("first")

    steps.plan = [other]
    assert make(product, OUT, "one").state == "elsewhere"
    assert store.read("products/p1/report.html") == b"the other's"


def test_a_store_that_is_gone_is_a_failure_that_may_pass(
    store, machine, steps, product, monkeypatch
):
    monkeypatch.setattr(stores, "TRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    store._fs.clear_instance_cache()
    outcome = make(product, OUT, "one")
    assert (outcome.state, outcome.is_users) == ("failed", False) and OUT in outcome.fault


@pytest.mark.slow
def test_begun_on_one_machine_and_ended_on_another_it_is_as_run_makes_it(
    tmp_path, tiny_sd1, monkeypatch
):
    """Through a store that fails one request in ten, with photos and base from it."""
    monkeypatch.setattr(stores, "PAUSE", 0.001)
    monkeypatch.setattr(claims, "BEAT", 0.1)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "no segmenters"))
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    walking.made_quick(monkeypatch.setattr)
    case = make_case(tmp_path, tiny_sd1)
    alone = walk(case).project
    with served(monkeypatch.setenv, fails=0.1) as server:
        given = Store(f"s3://{BUCKET}/given")
        for file in (path for path in case.rglob("*") if path.is_file()):
            name = file.relative_to(case).as_posix()
            if name.startswith(("photos/", "base/")):
                given.upload(file, name)
        choices = choices_of(base=f"{given.url}/base", **walking.OPTIONS)
        subject = Subject(name="Duster", trigger="ohwx", class_noun="car")
        product = Product(id="p1", subject=subject, photos=f"{given.url}/photos", choices=choices)
        asked = iter([False, False])
        monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "first"))
        assert make(product, OUT, "one", lambda: next(asked, True)).state == "stopped"
        monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "second"))
        outcome = make(product, OUT, "two")
        assert outcome.state == "done", outcome
        assert fetch(Store(OUT), "products/p1", tmp_path / "fetched")
        assert server.failed > 5
    assert results(tmp_path / "fetched") == results(alone.root)
