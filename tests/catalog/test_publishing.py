"""What is published is there whole or not at all, wherever it was cut off."""

from __future__ import annotations

import json

import pytest
from tests.object_store import BUCKET, served

from packshot.catalog.publishing import fetch, publish, read_marker, withdraw
from packshot.catalog.store import Store
from packshot.errors import UnsafePathError


@pytest.fixture
def store(monkeypatch):
    with served(monkeypatch.setenv):
        yield Store(f"s3://{BUCKET}/out")


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "project"
    for name in ("lora/mug.safetensors", "packshot.toml", "shots/with/a b.png"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(name.encode())
    for own in (".lock", ".records.lock", ".packshot.toml.1a2b3c4d.part"):
        (made / own).write_text("of this machine")
    return made


def content(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_project_comes_back_as_it_was(store, root, tmp_path):
    assert read_marker(store, "mug") is None and not fetch(store, "mug", tmp_path / "none")
    publish(store, "mug", root, "inputs", {"likeness": 0.9})
    marker = read_marker(store, "mug")
    assert (marker.inputs, marker.facts) == ("inputs", {"likeness": 0.9})
    assert fetch(store, "mug", tmp_path / "new") and content(tmp_path / "new") == content(root)
    withdraw(store, "mug")
    assert not store.stamps("mug")


def test_what_changed_is_sent_and_what_is_gone_deleted(store, root, monkeypatch):
    publish(store, "mug", root, "inputs", {})
    (root / "packshot.toml").write_text("other")
    (root / "shots/with/a b.png").unlink()
    sent = []
    upload = Store.upload
    monkeypatch.setattr(
        Store, "upload", lambda self, path, name: (sent.append(name), upload(self, path, name))
    )
    publish(store, "mug", root, "inputs", {})
    assert sent == ["mug/packshot.toml"]
    assert set(store.stamps("mug")) == {
        f"mug/{name}" for name in (*content(root), "published.json")
    }


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", range(6))
def test_cut_off_anywhere_it_is_not_there_and_the_next_time_it_is(
    store, root, tmp_path, monkeypatch, after
):
    """Cut off before each of the store's changes: three uploads, the marker, and the one it replaces."""
    publish(store, "mug", root, "former", {})
    for path in content(root):
        (root / path).write_text("new")
    left = [after]

    def mortal(change):
        def changed(*given):
            if not left[0]:
                raise Killed
            left[0] -= 1
            change(*given)

        return changed

    with monkeypatch.context() as patch:
        for name in ("upload", "write", "remove"):
            patch.setattr(Store, name, mortal(getattr(Store, name)))
        try:
            publish(store, "mug", root, "inputs", {})
        except Killed:
            marker = read_marker(store, "mug")
            assert marker is None or (after == 0 and marker.inputs == "former")
            assert fetch(store, "mug", tmp_path / "cut") is (after == 0)
    publish(store, "mug", root, "inputs", {})
    assert fetch(store, "mug", tmp_path / "new") and content(tmp_path / "new") == content(root)


def test_a_fetch_that_was_cut_off_leaves_nothing_that_looks_whole(
    store, root, tmp_path, monkeypatch
):
    publish(store, "mug", root, "inputs", {})
    download = Store.download

    def mortal(self, name, path):
        if name.endswith("packshot.toml"):
            raise Killed
        download(self, name, path)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "download", mortal)
        with pytest.raises(Killed):
            fetch(store, "mug", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert fetch(store, "mug", tmp_path / "new") and content(tmp_path / "new") == content(root)


@pytest.mark.parametrize(
    "marker", [b"", b"{", b"[]", b"null", b'{"inputs": 1, "facts": {}}', b"\xff"]
)
def test_what_is_no_marker_is_none(store, root, marker):
    store.write("mug/published.json", marker)
    assert read_marker(store, "mug") is None


def test_somebody_elses_files_are_not_taken(store, root, tmp_path):
    publish(store, "mug", root, "inputs", {})
    store.write("mug/packshot.toml", b"other")
    assert not fetch(store, "mug", tmp_path / "new") and not (tmp_path / "new").exists()
    said = {"inputs": "", "facts": {}, "files": {"../out": "0" * 64}}
    store.write("mug/published.json", json.dumps(said).encode())
    with pytest.raises(UnsafePathError):
        fetch(store, "mug", tmp_path / "new")


def test_what_a_publishing_that_was_broken_off_has_left_is_deleted(store, root):
    publish(store, "mug", root, "inputs", {})
    store.remove("mug/published.json")  # with which the next one began, and ended
    (root / "shots/with/a b.png").unlink()
    publish(store, "mug", root, "inputs", {})
    assert set(store.stamps("mug")) == {
        f"mug/{name}" for name in (*content(root), "published.json")
    }
