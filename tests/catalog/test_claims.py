"""One start at a time makes a product: others wait, and take over what was left behind."""

from __future__ import annotations

import threading

import pytest
from tests.object_store import BUCKET, served

from packshot.catalog import claims
from packshot.catalog.claims import claimed
from packshot.catalog.store import Store
from packshot.errors import InUseError


@pytest.fixture
def store(monkeypatch):
    with served(monkeypatch.setenv):
        yield Store(f"s3://{BUCKET}/out")


def test_another_start_is_kept_out_until_the_end(store):
    with claimed(store, "mug", "first") as claim:
        with pytest.raises(InUseError, match="another start"), claimed(store, "mug", "second"):
            pass
        with claimed(store, "mug-2", "second"):
            assert not claim.look()
    with claimed(store, "mug", "second"):
        pass
    assert not store.stamps("claims/mug")


def test_of_many_at_once_one_has_it(store):
    had, kept_out, begin = [], [], threading.Barrier(8)

    def start(number):
        begin.wait()
        try:
            with claimed(store, "mug", str(number)):
                had.append(number)
                ended.wait(60)
        except InUseError:
            kept_out.append(number)

    ended = threading.Event()
    threads = [threading.Thread(target=start, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    while len(had) + len(kept_out) < 8:
        assert any(thread.is_alive() for thread in threads)
    ended.set()
    for thread in threads:
        thread.join()
    assert len(had) == 1 and len(kept_out) == 7


def test_the_same_start_takes_over_at_once_and_the_former_worker_knows(store):
    with claimed(store, "mug", "first") as former, claimed(store, "mug", "first") as claim:
        assert former.look() and former.is_lost and not claim.look()


def test_what_is_left_behind_is_taken_over_and_what_is_written_anew_is_not(store, monkeypatch):
    store.write("claims/mug/000007.json", b'{"start": "gone"}')
    with pytest.raises(InUseError), claimed(store, "mug", "second"):
        pass
    monkeypatch.setattr(claims, "LEASE", -1.0)
    with claimed(store, "mug", "second"):
        assert list(store.stamps("claims/mug")) == [
            "claims/mug/000007.json",
            "claims/mug/000008.json",
        ]


def test_a_claim_is_written_anew_until_it_ends(store, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    written = threading.Semaphore(0)
    write = Store.write

    def told(self, name, content):
        write(self, name, content)
        written.release()

    monkeypatch.setattr(Store, "write", told)
    with claimed(store, "mug", "first") as claim:
        for _ in range(3):
            assert written.acquire(timeout=60)
        assert not claim.is_lost
        store.create("claims/mug/000002.json", b'{"start": "second"}')
        while not claim.is_lost:  # as its beat finds
            pass
    assert list(store.stamps("claims/mug")) == ["claims/mug/000002.json"]
