"""The pace that an API's limits allow, across runs; pages are asked for once, ever."""

import bisect
import random
import types

import pytest

from packshot.class_images.online.api_search import Limit, asking, queries
from packshot.class_images.online.http_responses import RetryLaterError
from packshot.class_images.online.rate_limit import HostRateLimiter
from packshot.class_images.online.request_log import RequestLog


class SlowApi:
    """Takes its time, and notes when each request arrives."""

    def __init__(self, clock):
        self.clock, self.arrived, self.draw = clock, [], random.Random(0)
        self.hosts = HostRateLimiter(clock)

    def json(self, url, read, headers, pace):
        with pace():
            self.clock.time += self.draw.expovariate(1)
            self.arrived.append(self.clock.time)
            self.clock.time += self.draw.expovariate(1)
        return read({})


def source(*limits):
    return types.SimpleNamespace(name="api", limits=limits)


def test_limits_hold_however_long_the_way_and_across_runs(clock, tmp_path):
    api, limits = SlowApi(clock), (Limit(20, 60), Limit(50, 300))
    for number in range(300):
        if number % 30 == 0:  # killed and started again
            ask = asking(source(*limits), api, RequestLog(tmp_path, clock.now()))
        ask(str(number), lambda answer: ([], False), {})
    for limit in limits:
        for place, at in enumerate(api.arrived):
            before = bisect.bisect_right(api.arrived, at - limit.seconds)
            assert place - before + 1 <= limit.requests
    # Nor is it slower than it must be: 50 in 300 s, and what the answers themselves take.
    assert clock.time - 1_800_000_000 < 300 / 50 * 300 * 1.2


def test_a_wait_of_hours_is_left_to_another_run(clock, tmp_path):
    api = SlowApi(clock)
    ask = asking(source(Limit(2, 86_400)), api, RequestLog(tmp_path, clock.now()))
    for number in range(2):
        ask(str(number), lambda answer: ([], False), {})
    with pytest.raises(
        RetryLaterError,
        match=r"^api allows 2 requests in 24 hours, and they are used up until \w+day",
    ):
        ask("2", lambda answer: ([], False), {})
    assert ask("1", lambda answer: ([], False), {}).url == "1"  # this one is known


def test_queries_are_varied(clock):
    varied = queries("car")
    assert varied[0] == "car" and len(set(varied)) == len(varied) > 40
    assert all("car" in query and len(query) <= 200 for query in varied)
