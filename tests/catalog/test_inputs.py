"""What a product is made from: a path as it is, a store's and a web server's once, none from within."""

from __future__ import annotations

import http.server
import threading
from functools import partial
from pathlib import Path

import fsspec
import pytest

from packshot.catalog import inputs, store, web
from packshot.catalog.inputs import at_hand, choices_at_hand, fingerprint_of
from packshot.catalog.table import Product
from packshot.class_images.online.public_http import PublicTransport
from packshot.errors import CatalogError, StoreError
from packshot.settings import Subject, choices_of


def test_a_path_is_as_it_is(tmp_path):
    assert at_hand(str(tmp_path / "photos"), tmp_path / "kept") == tmp_path / "photos"
    assert not (tmp_path / "kept").exists()


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.setattr(store, "PAUSE", 0.001)
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()


def test_a_stores_folder_is_fetched_whole_and_once_until_it_changes(memory, tmp_path, monkeypatch):
    for name in ("a.jpg", "sub/b.jpg"):
        memory.pipe(f"/shop/mug/{name}", name.encode())
    found = at_hand("memory://shop/mug", tmp_path / "in")
    assert (found / "a.jpg").read_bytes() == b"a.jpg"
    assert (found / "sub" / "b.jpg").read_bytes() == b"sub/b.jpg"
    (found / "a.jpg").write_bytes(b"kept")
    assert at_hand("memory://shop/mug", tmp_path / "in") == found
    assert (found / "a.jpg").read_bytes() == b"kept"
    memory.pipe("/shop/mug/a.jpg", b"changed")
    assert (at_hand("memory://shop/mug", tmp_path / "in") / "a.jpg").read_bytes() == b"changed"
    memory.pipe("/shop/can.zip", b"zip")
    assert at_hand("memory://shop/can.zip", tmp_path / "can").read_bytes() == b"zip"


def test_a_fetch_that_broke_off_is_begun_anew(memory, tmp_path, monkeypatch):
    memory.pipe("/shop/pen/a.jpg", b"a")
    memory.pipe("/shop/pen/b.jpg", b"b")
    real = store.Store.download

    def broken(self, name, path):
        if name == "b.jpg":
            raise StoreError("503")
        real(self, name, path)

    monkeypatch.setattr(store.Store, "download", broken)
    with pytest.raises(StoreError, match="503"):
        at_hand("memory://shop/pen", tmp_path / "in")
    monkeypatch.setattr(store.Store, "download", real)
    found = at_hand("memory://shop/pen", tmp_path / "in")
    assert sorted(path.name for path in found.iterdir()) == ["a.jpg", "b.jpg"]


def test_nothing_and_too_much_are_refused(memory, tmp_path, monkeypatch):
    with pytest.raises(CatalogError, match="There is nothing at memory://big"):
        at_hand("memory://big", tmp_path / "in")
    memory.pipe("/big/a.jpg", b"x" * 100)
    monkeypatch.setattr(inputs, "MOST_FILES", 0)
    with pytest.raises(CatalogError, match="has 1 files"):
        at_hand("memory://big", tmp_path / "in")
    memory.pipe("/box/one", b"x" * 100)
    with pytest.raises(StoreError, match="is larger than"):
        store.Store("memory://box").download("one", tmp_path / "one", most=99)


def test_choices_from_a_store_come_as_paths_the_others_as_they_are(memory, tmp_path):
    memory.pipe("/bases/tiny.safetensors", b"weights")
    memory.pipe("/plates/kitchen.jpg", b"jpg")
    given = choices_of(base="memory://bases/tiny.safetensors", plates="memory://plates", seed=3)
    found = choices_at_hand(given, tmp_path)
    assert (
        Path(found.base).name == "tiny.safetensors" and Path(found.base).read_bytes() == b"weights"
    )
    assert (Path(found.plates) / "kitchen.jpg").is_file()
    assert (found.seed, found.class_images) == (3, ("base",))
    assert found.model_fields_set == given.model_fields_set


def test_the_fingerprint_follows_content_and_choices_not_the_place(memory, tmp_path):
    def product(place, **choices):
        subject = Subject(name="Mug", trigger="ohwx", class_noun="mug")
        return Product(id="m", subject=subject, photos=str(place), choices=choices_of(**choices))

    for root in ("here", "there"):
        (tmp_path / root / "mug").mkdir(parents=True)
        (tmp_path / root / "mug" / "a.jpg").write_bytes(b"a")
        (tmp_path / root / "base.safetensors").write_bytes(b"base")
    here, there = tmp_path / "here", tmp_path / "there"
    first = fingerprint_of(product(here / "mug", base=str(here / "base.safetensors")))
    assert first == fingerprint_of(product(there / "mug", base=str(there / "base.safetensors")))
    assert first != fingerprint_of(product(here / "mug"))
    (there / "base.safetensors").write_bytes(b"other")
    assert first != fingerprint_of(product(there / "mug", base=str(there / "base.safetensors")))
    (here / "mug" / "b.jpg").write_bytes(b"b")
    assert first != fingerprint_of(product(here / "mug", base=str(here / "base.safetensors")))
    memory.pipe("/shop/mug/a.jpg", b"a")
    stored = fingerprint_of(product("memory://shop/mug"))
    assert stored == fingerprint_of(product("memory://shop/mug"))
    memory.pipe("/shop/mug/a.jpg", b"b")
    assert stored != fingerprint_of(product("memory://shop/mug"))


@pytest.fixture
def server(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mug.zip").write_bytes(b"zip")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address
        server.shutdown()


def test_the_web_is_asked_in_public_only(tmp_path, server, monkeypatch):
    host, port = server
    url = f"http://{host}:{port}/mug.zip"
    with pytest.raises(CatalogError, match="cannot be fetched: AddressRefused"):
        at_hand(url, tmp_path / "kept")
    monkeypatch.setattr(web, "PublicTransport", partial(PublicTransport, allow=[server]))
    assert at_hand(url, tmp_path / "kept").read_bytes() == b"zip"
    with pytest.raises(CatalogError, match="404"):
        at_hand(url.replace("mug", "none"), tmp_path / "kept")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x/sdxl_Turbo.safetensors", "sdxl_Turbo.safetensors"), ("tide", "tide.zip"), ("", "photos.zip"),
        ("a%20%28v2%29.ZIP?x=1", "a-v2.zip"), ("%2e%2e%2fup.zip", "up.zip"), ("con.zip", "photos.zip"),
        ("%E8%BD%A6.zip", "photos.zip"), ("a.z:p", "a.zp"),
    ],
)  # fmt: skip
def test_what_lies_in_the_web_keeps_its_name_by_which_a_base_may_be_known(
    path, name, tmp_path, monkeypatch
):
    monkeypatch.setattr(web, "fetch", lambda url, file: file.parent.mkdir() or file.touch())
    assert at_hand(f"https://example.com/{path}", tmp_path / "in") == tmp_path / "in" / name
