"""A server that speaks as much of the Hugging Face hub's protocol as fetching a checkpoint needs."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

LARGE = 2**16
"""Bytes from which a file is told of as the hub tells of large ones (X-Linked-...)."""


@dataclass
class FakeHub:
    """Repositories by id, each with a folder and a commit that its branch "main" is at."""

    folders: dict[str, Path] = field(default_factory=dict)
    commit: str = "c" * 40
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """What was asked for: method, path, range."""
    gated: bool = False
    """Lists its files and gives none."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """By file name: after how many bytes the connection breaks, one an attempt."""
    lies: dict[str, str] = field(default_factory=dict)
    """What is told in place of "etag" or "commit"."""
    endpoint: str = ""

    def files(self):
        """The names of files that were sent, or begun to be."""
        return {
            path.split("/", 5)[5]
            for method, path, _ in self.asked
            if method == "GET" and "/resolve/" in path
        }

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, hub, *args):
        self.hub = hub
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        start, found, rest = path.removeprefix("/api/models").partition("/revision/")
        listing = bool(found)
        if not listing:
            start, _, rest = path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        folder = self.hub.folders.get(start.strip("/"))
        if folder is None:
            return self.refuse(401, "RepoNotFound")
        if revision not in ("main", self.hub.commit):
            return self.refuse(404, "RevisionNotFound")
        if listing:
            return self.list(folder)
        if self.hub.gated:
            return self.refuse(403, "GatedRepo")
        if not (folder / name).is_file():
            return self.refuse(404, "EntryNotFound")
        return self.send(folder / name, name, body)

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def list(self, folder):
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        siblings = [
            {"rfilename": str(file.relative_to(folder)), "size": file.stat().st_size}
            for file in files
        ]
        data = json.dumps({"id": "a/b", "sha": self.hub.commit, "siblings": siblings}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send(self, file, name, body):
        data = file.read_bytes()
        etag, size = self.hub.lies.get("etag", hashlib.sha256(data).hexdigest()), len(data)
        given = self.headers.get("Range")
        begin = int(given.removeprefix("bytes=").partition("-")[0]) if given else 0
        self.send_response(206 if given else 200)
        self.send_header("X-Repo-Commit", self.hub.lies.get("commit", self.hub.commit))
        self.send_header("ETag", f'"{etag}"')
        if size >= LARGE:
            self.send_header("X-Linked-Size", str(size))
            self.send_header("X-Linked-ETag", f'"{etag}"')
        if given:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        if not body:
            return
        if cuts := self.hub.cuts.get(name):
            self.wfile.write(data[begin : begin + cuts.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(data[begin:])


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The hub, and an empty cache of its own."""
    with FakeHub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield server
