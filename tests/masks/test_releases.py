"""Files that rembg publishes: fetched by one word, and only if they are what it pins."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from PIL import Image

from packshot.errors import ModelLoadError
from packshot.masks import releases
from packshot.masks.onnx_segmenter import rembg_folder
from packshot.masks.registry import load_segmenter


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def published(tmp_path, monkeypatch, random_unet):
    """A server with a small network under U2-Net's name; the pinned MD5 is that network's."""
    folder = tmp_path / "published"
    folder.mkdir()
    file = folder / "u2net.onnx"
    file.write_bytes(random_unet.read_bytes())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(releases, "RELEASES", f"http://127.0.0.1:{server.server_port}")
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    known = replace(releases.RELEASED["u2net"], md5=md5)
    monkeypatch.setitem(releases.RELEASED, "u2net", known)
    yield file
    server.shutdown()
    server.server_close()


def test_one_word_fetches_a_network_that_masks(published):
    said = []
    segmenter = load_segmenter("u2net", progress=lambda *told: said.append(told))
    assert (rembg_folder() / "u2net.onnx").read_bytes() == published.read_bytes()
    assert segmenter.mask(Image.new("RGB", (40, 30), "red")).size == (40, 30)
    assert said[0] == ("MB of u2net (Apache-2.0)", 0, 180), "told before anything is fetched"
    published.unlink()
    assert load_segmenter("u2net").name == "u2net", "what is there is not fetched again"


def test_another_file_is_not_kept(published):
    published.write_bytes(published.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelLoadError, match="not the file that rembg published; nothing was kept"):
        load_segmenter("u2net")
    assert not list(rembg_folder().glob("*"))


def test_a_file_without_end_is_not_kept(published, monkeypatch):
    monkeypatch.setattr(releases, "MAX_BYTES", 100)
    with pytest.raises(ModelLoadError, match="larger than"):
        load_segmenter("u2net")
    assert not list(rembg_folder().glob("*"))


def test_no_such_file_says_where_to_put_it(published):
    published.unlink()
    with pytest.raises(ModelLoadError, match=r"(?s)cannot be fetched .*404.*put the file there"):
        load_segmenter("u2net")


def test_every_release_has_a_checksum_and_a_licence():
    for release in releases.RELEASED.values():
        assert len(release.md5) == 32 and release.source.startswith("https://")
        assert release.licence in release.notice
