"""A small hub on this machine: what is asked of it, what breaks, what works without it."""

import hashlib
import http.server
import json
import threading
from pathlib import Path

import pytest
import torch

from packshot.bases import load_base
from packshot.errors import CheckpointRefused

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.ThreadingHTTPServer):
    """Serves one folder as OWNER/NAME, and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked, self.status, self.cut = folder, [], 200, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *arguments):
        pass

    def _fail(self, code, kind=""):
        self.send_response(code)
        if kind:
            self.send_header("X-Error-Code", kind)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        if self.server.status != 200:
            kind = {401: "RepoNotFound", 403: "GatedRepo"}[self.server.status]
            return self._fail(self.server.status, kind)
        if path.startswith("/api/models/owner/tiny"):
            files = [p for p in self.server.folder.rglob("*") if p.is_file()]
            names = [str(p.relative_to(self.server.folder)) for p in files]
            if "/tree/" in path:
                tree = [{"type": "file", "path": n, "size": 1, "oid": "0" * 40} for n in names]
                return self._send(json.dumps(tree).encode(), "application/json")
            body = {
                "id": "owner/tiny",
                "sha": COMMIT,
                "siblings": [{"rfilename": n} for n in names],
            }
            return self._send(json.dumps(body).encode(), "application/json")
        if "/resolve/" not in path or not path.startswith("/owner/tiny/"):
            return self._fail(404, "RepoNotFound")
        name = path.split("/resolve/")[1].split("/", 1)[1]
        file = self.server.folder / name
        if not file.is_file():
            return self._fail(404, "EntryNotFound")
        if self.command == "GET":
            self.server.asked.append(name)
        return self._send(file.read_bytes(), "application/octet-stream", name)

    def _send(self, body, kind, name=""):
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        rest = body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "GET":
            if self.server.cut and name.endswith(".safetensors"):
                self.server.cut -= 1
                self.wfile.write(rest[: len(rest) // 2])
                self.close_connection = True
            else:
                self.wfile.write(rest)


@pytest.fixture
def hub(tiny_sd1, tmp_path, monkeypatch):
    import shutil

    import huggingface_hub
    from huggingface_hub import constants

    folder = tmp_path / "repo"
    shutil.copytree(tiny_sd1, folder)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04 a pickle")
    (folder / "pipeline.py").write_text("raise SystemExit")
    (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"not asked for")
    server = Hub(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub.hf_api, "ENDPOINT", server.url, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    templates = "HUGGINGFACE_CO_URL_TEMPLATE"
    monkeypatch.setattr(
        constants, templates, server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's own tries
    monkeypatch.chdir(tmp_path)
    yield server
    server.shutdown()
    server.server_close()


def load(name="owner/tiny"):
    return load_base(name, device="cpu", dtype=torch.float32)


def test_only_what_is_loaded_is_asked_for(hub, tiny_base):
    base = load()
    assert base.family == "sd1"
    assert base.content_hash == tiny_base.content_hash
    assert torch.equal(base.unet.conv_in.weight, tiny_base.unet.conv_in.weight)
    assert not [name for name in hub.asked if name.endswith((".bin", ".py"))]
    assert not [name for name in hub.asked if "fp16" in name]
    assert len([name for name in hub.asked if name.endswith(".safetensors")]) == 3


def test_what_is_there_already_needs_no_hub(hub):
    load()
    hub.shutdown()
    hub.server_close()
    assert load().family == "sd1"


def test_a_path_wins(hub, tiny_sd1, tmp_path):
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "tiny").symlink_to(tiny_sd1)
    assert Path(load().path) == Path("owner/tiny")
    assert not hub.asked


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "is gated: accept its terms at .*hf auth login"),
        (401, "neither a file nor a hub checkpoint"),
    ],
)
def test_what_may_not_be_had_is_said(hub, status, words):
    hub.status = status
    with pytest.raises(CheckpointRefused, match=words):
        load()


def large(hub):
    return [name for name in hub.asked if name.endswith((".safetensors", ".bin"))]


def test_pickles_are_refused_before_anything_large(hub):
    (hub.folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointRefused, match=r"only diffusion_pytorch_model\.bin, a pickle"):
        load()
    assert not large(hub)


def test_other_families_are_refused_before_anything_large(hub):
    (hub.folder / "model_index.json").write_text('{"_class_name": "PixArtAlphaPipeline"}')
    with pytest.raises(CheckpointRefused, match="is PixArtAlphaPipeline"):
        load("owner/tiny@main")
    assert not large(hub)


def test_a_download_that_breaks_off_goes_on(hub, tiny_base):
    hub.cut = 2
    base = load()
    assert hub.cut == 0
    assert base.content_hash == tiny_base.content_hash


def test_without_a_hub_and_a_copy_it_is_said(hub):
    hub.shutdown()
    hub.server_close()
    with pytest.raises(
        CheckpointRefused, match="is not in the hub's cache, and the hub cannot be reached"
    ):
        load()
    with pytest.raises(CheckpointRefused, match=r"There is no checkpoint at nowhere\.safetensors"):
        load("nowhere.safetensors")
