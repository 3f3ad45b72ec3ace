"""When a host is asked: in its turn, and when it says."""

import email.utils
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from packshot.class_images.online.http_responses import RetryLaterError
from tests.class_images.online.answering import URL, fail, picture, replies


@pytest.mark.parametrize("status", (429, 503))
def test_retry_after_is_waited_for_by_all_who_ask_that_host(answering, clock, status):
    handler = replies(fail(status, Retry_After="30"), picture())
    began = clock.time
    assert answering(handler).picture(URL, bytes) and clock.time - began == 30
    date = email.utils.formatdate(clock.now() + 90, usegmt=True)
    fetcher = answering(replies(fail(status, Retry_After=date), picture()))
    assert fetcher.picture(URL, bytes) and clock.time - began == 120


def test_a_host_that_wants_hours_is_left_alone(answering, clock):
    handler = replies(fail(429, Retry_After="7200"))
    fetcher = answering(handler)
    for _ in range(3):
        with pytest.raises(
            RetryLaterError, match=r"^pictures\.example asks to be left alone for [12] h \d\d min$"
        ):
            fetcher.picture(URL, bytes)
    assert len(handler.asked) == 1 and clock.waited == [1.0]
    clock.time += 7200
    with pytest.raises(RetryLaterError):
        fetcher.picture(URL, bytes)
    assert len(handler.asked) == 2


@pytest.mark.parametrize("said", ("soon", "-5", "1e9", "", "9" * 400))
def test_a_retry_after_that_is_none(answering, clock, said):
    assert answering(replies(fail(429, Retry_After=said), picture())).picture(URL, bytes)
    assert clock.waited == [1.0]


def test_no_more_than_two_requests_at_a_time_to_one_host(answering):
    lock, now, most = threading.Lock(), {}, {}

    def handler(request):
        host = request.url.host
        with lock:
            now[host] = now.get(host, 0) + 1
            most[host] = max(most.get(host, 0), now[host])
        time.sleep(0.002)
        with lock:
            now[host] -= 1
        return picture()

    fetcher = answering(handler)
    urls = [f"https://{host}.example/{number}" for number in range(20) for host in "ab"]
    with ThreadPoolExecutor(len(urls)) as pool:
        list(pool.map(lambda url: fetcher.picture(url, bytes), urls))
    assert most == {"a.example": 2, "b.example": 2}


def test_a_redirects_host_is_asked_in_its_own_turn(answering, clock):
    """Two at a time, and not before it says, whichever address led there."""
    lock, now, most = threading.Lock(), [], []

    def handler(request):
        if request.url.host != "pictures.example":
            return fail(302, Location=URL)
        with lock:
            now.append(request)
            most.append(len(now))
        time.sleep(0.002)
        with lock:
            now.remove(request)
        return picture()

    fetcher = answering(handler)
    fetcher.hosts.back_off("pictures.example", 30)
    urls = [f"https://{number}.example/" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda url: fetcher.picture(url, bytes), urls)) == [b"data"] * 8
    assert max(most) == 2 and clock.waited[0] == 30


def test_who_is_stopped_does_not_wait(answering):
    fetcher = answering(replies(fail(503)))
    fetcher.close()
    with pytest.raises(RetryLaterError, match=r"^stopped before it was asked for$"):
        fetcher.picture(URL, bytes)
