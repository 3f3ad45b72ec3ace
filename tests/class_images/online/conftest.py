import threading

import httpx
import pytest

from packshot.class_images.online import download
from packshot.class_images.online.collect import download_from
from packshot.class_images.online.download import Fetcher
from packshot.class_images.online.licences import FREE
from packshot.class_images.online.openverse import Openverse
from packshot.class_images.online.rate_limit import Clock
from tests.class_images.online.server import Web


class FakeClock(Clock):
    """Its time passes only when somebody waits."""

    def __init__(self, now=1_800_000_000.0):
        self.time, self.waited, self.lock = now, [], threading.Lock()

    def now(self):
        return self.time

    def wait(self, seconds, cancelled):
        with self.lock:
            self.waited.append(seconds)
            self.time += seconds


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def web(clock):
    with Web(clock) as web:
        yield web


@pytest.fixture
def fetcher(web, clock):
    """Asks the server on this machine, on a clock of the test's."""
    fetcher = Fetcher("ada@example.org", clock, web.allow)
    yield fetcher
    fetcher.close()


@pytest.fixture
def answering(monkeypatch, clock):
    """A fetcher whose requests a function of the test's answers."""

    def make(handler):
        transport = httpx.MockTransport(handler)
        monkeypatch.setattr(download, "PublicTransport", lambda *_: transport)
        return Fetcher("ada@example.org", clock)

    return make


@pytest.fixture
def gathered(project, web, clock):
    """Gathers from the server on this machine; a new fetcher each time, as each run has."""

    def run(count, *sources, **settings):
        fetcher = Fetcher("ada@example.org", clock, web.allow)
        sources = sources or (Openverse("car", FREE, api=web.openverse),)
        licences = settings.pop("licences", FREE)
        return download_from(project, sources, fetcher, count, licences, min_side=64, **settings)

    return run
