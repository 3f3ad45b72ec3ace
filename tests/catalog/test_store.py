"""Stores as they are: slow to answer, without locks, with private parts; against a local S3 server."""

from __future__ import annotations

import boto3
import pytest
from tests.object_store import BUCKET, served

from packshot.catalog import store as stores
from packshot.catalog.store import Store, patiently, settled
from packshot.errors import StoreError


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(stores, "PAUSE", 0.001)


@pytest.fixture
def s3(monkeypatch):
    with served(monkeypatch.setenv, fails=0.1) as server:
        yield server


def test_all_is_as_written_though_one_request_in_ten_fails(s3, tmp_path):
    store = Store(f"s3://{BUCKET}/cata logue")
    for number in range(20):
        store.write(f"a/{number:02}", b"%d" % number)
    assert [store.read(f"a/{number:02}") for number in range(20)] == [b"%d" % n for n in range(20)]
    names = [f"a/{number:02}" for number in range(20)]
    assert list(store.stamps("a")) == list(store.stamps()) == names
    plain = boto3.client("s3", endpoint_url=s3.address)
    there = plain.get_object(Bucket=BUCKET, Key="cata logue/a/07")["Body"].read()
    assert there == b"7", "another client sees it, by the same name"
    (tmp_path / "file").write_bytes(bytes(range(256)) * 5000)
    store.upload(tmp_path / "file", "b/file")
    store.download("b/file", tmp_path / "new" / "file")
    assert (tmp_path / "new" / "file").read_bytes() == (tmp_path / "file").read_bytes()
    store.remove("a/00")
    store.remove("a/00")
    assert store.read("a/00") is None and store.written_at("a/00") is None
    assert (store.written_at("a/01") or 0) <= store.written_at("b/file")
    assert store.has_any() and not Store(f"s3://{BUCKET}/other").has_any()
    assert s3.failed


def test_one_alone_creates_an_object_also_when_its_answer_is_lost(s3):
    store = Store(f"s3://{BUCKET}")
    for number in range(12):
        assert store.create(f"claim{number}", b"first")
        assert not store.create(f"claim{number}", b"second")
        assert store.read(f"claim{number}") == b"first"


def test_a_stamp_changes_with_the_content(s3):
    store = Store(f"s3://{BUCKET}/one")
    store.write("photo", b"a")
    before = Store(f"s3://{BUCKET}/one/photo").stamps()
    assert list(before) == [""], "the URL of one object"
    store.write("photo", b"b")
    assert Store(f"s3://{BUCKET}/one/photo").stamps() != before


def test_a_request_is_repeated_with_growing_pauses_and_a_refusal_is_not(monkeypatch):
    pauses, tries = [], []
    monkeypatch.setattr(stores, "PAUSE", 1.0)
    monkeypatch.setattr(stores.time, "sleep", pauses.append)

    def fails(error):
        tries.append(error)
        raise error

    with pytest.raises(OSError, match="503"):
        patiently(fails, OSError("503"))
    assert len(tries) == stores.TRIES == len(pauses) + 1
    assert all(0.5 * 2**i <= pause <= 2**i for i, pause in enumerate(pauses))
    tries.clear()
    with pytest.raises(PermissionError):
        patiently(fails, PermissionError("private"))
    assert len(tries) == 1


def test_a_place_that_cannot_be_written_is_told_before_anything_is_made(s3, tmp_path, monkeypatch):
    assert settled(str(tmp_path)) == settled(f"file://{tmp_path}") == str(tmp_path)
    assert settled(f"s3://{BUCKET}/out/") == f"s3://{BUCKET}/out"
    with pytest.raises(StoreError, match="s3://nobodys/out: The specified bucket does not exist"):
        settled("s3://nobodys/out")
    with pytest.raises(StoreError, match="nope://x cannot be used: ValueError"):
        settled("nope://x")
    with pytest.raises(StoreError, match="is a web address; name a folder, or a store"):
        settled("https://example.com/out")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    Store(f"s3://{BUCKET}")._fs.clear_instance_cache()
    with pytest.raises(StoreError, match=r"writable: .*Could not connect"):
        settled(f"s3://{BUCKET}/out")
