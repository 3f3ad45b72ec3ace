"""A local S3 server (moto's), which fails as stores do: "slow down" before or after a request was done."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}  # fmt: skip
BUCKET = "shop"


class Server:
    """An application that passes requests on, but for a share of them that it answers with 503."""

    def __init__(self, application: Any, fails: float) -> None:
        self._application, self._fails, self._draw = application, fails, random.Random(0)
        self._lock = threading.Lock()
        self.asked = self.failed = 0
        self.address = ""

    def calm(self) -> None:
        """Fail no more."""
        self._fails = 0.0

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        with self._lock:
            self.asked += 1
            lot = self._draw.random()
            self.failed += lot < self._fails
        if lot >= self._fails:
            passed_on: Iterable[bytes] = self._application(environ, start_response)
            return passed_on
        if lot < self._fails / 2:  # done, and the answer lost
            b"".join(self._application(environ, lambda *_: lambda _: None))
        start_response("503 Slow Down", [("Content-Type", "application/xml")])
        return [_SLOW_DOWN]


@contextlib.contextmanager
def served(setenv: Callable[[str, str], object], fails: float = 0.0) -> Iterator[Server]:
    """An S3 server with an empty bucket, at which the environment points all that ask for S3.

    Args:
        fails: the share of requests that is answered with 503.
    """
    from moto.backends import get_backend
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = Server(DomainDispatcherApplication(create_backend_app), 0.0)
    http = make_server("127.0.0.1", 0, server, threaded=True, request_handler=_quiet())
    server.address = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL_S3": server.address}).items():
        setenv(name, value)
    _forget()
    try:
        import s3fs

        s3fs.S3FileSystem().mkdir(BUCKET)
        server._fails = fails
        yield server
    finally:
        http.shutdown()
        http.server_close()
        get_backend("s3")["123456789012"]["aws"].reset()
        _forget()


def _forget() -> None:
    """Let fsspec make clients anew: those that it keeps ask the former server."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def _quiet() -> Any:
    from werkzeug.serving import WSGIRequestHandler

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: object) -> None:
            pass

    return Quiet
