"""Photos at hand: a path as it is, a store's and a web server's once, and none from within."""

from __future__ import annotations

import http.server
import threading
from functools import partial

import fsspec
import pytest

from packshot.catalog import photos
from packshot.class_images.online.public_http import PublicTransport
from packshot.errors import CatalogError


def test_a_path_is_as_it_is(tmp_path):
    assert photos.at_hand(str(tmp_path / "photos"), tmp_path / "kept") == tmp_path / "photos"
    assert not (tmp_path / "kept").exists()


def test_a_stores_folder_is_fetched_whole_and_once(tmp_path):
    store = fsspec.filesystem("memory")
    for name in ("a.jpg", "sub/b.jpg"):
        store.pipe(f"/shop/mug/{name}", name.encode())
    found = photos.at_hand("memory://shop/mug", tmp_path)
    assert (found / "a.jpg").read_bytes() == b"a.jpg"
    assert (found / "sub" / "b.jpg").read_bytes() == b"sub/b.jpg"
    store.pipe("/shop/mug/a.jpg", b"changed")
    again = photos.at_hand("memory://shop/mug", tmp_path)
    assert again == found and (again / "a.jpg").read_bytes() == b"a.jpg"
    store.pipe("/shop/can.zip", b"zip")
    assert photos.at_hand("memory://shop/can.zip", tmp_path).read_bytes() == b"zip"


def test_a_fetch_that_broke_off_is_begun_anew(tmp_path, monkeypatch):
    store = fsspec.filesystem("memory")
    store.pipe("/shop/pen/a.jpg", b"a")
    store.pipe("/shop/pen/b.jpg", b"b")
    real = photos._copy

    def broken(store, path, target, url):
        if path.endswith("b.jpg"):
            raise OSError("503")
        real(store, path, target, url)

    monkeypatch.setattr(photos, "_copy", broken)
    with pytest.raises(CatalogError, match="memory://shop/pen cannot be fetched: OSError: 503"):
        photos.at_hand("memory://shop/pen", tmp_path)
    monkeypatch.setattr(photos, "_copy", real)
    assert sorted(p.name for p in photos.at_hand("memory://shop/pen", tmp_path).iterdir()) == [
        "a.jpg",
        "b.jpg",
    ]


def test_too_much_is_refused(tmp_path, monkeypatch):
    store = fsspec.filesystem("memory")
    store.pipe("/big/a.jpg", b"x" * 100)
    monkeypatch.setattr(photos, "MOST_BYTES", 99)
    with pytest.raises(CatalogError, match="is larger than"):
        photos.at_hand("memory://big", tmp_path)
    monkeypatch.setattr(photos, "MOST_FILES", 0)
    with pytest.raises(CatalogError, match="has 1 files"):
        photos.at_hand("memory://big", tmp_path)


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
        photos.at_hand(url, tmp_path / "kept")
    monkeypatch.setattr(photos, "PublicTransport", partial(PublicTransport, allow=[server]))
    assert photos.at_hand(url, tmp_path / "kept").read_bytes() == b"zip"
    with pytest.raises(CatalogError, match="404"):
        photos.at_hand(url.replace("mug", "none"), tmp_path / "kept")
