"""Asking: what is tried again, where redirects may lead, who is told to ask."""

import httpx
import pytest

from packshot.class_images.online.download import check_contact
from packshot.class_images.online.http_responses import PermanentHttpError, RetryLaterError
from packshot.errors import ClassImagesError, ImageRejectedError
from packshot.images.loading import DAMAGED
from tests.class_images.online.answering import URL, fail, picture, replies
from tests.class_images.online.server import jpeg


@pytest.mark.parametrize(
    "fault",
    (
        fail(500), fail(502), fail(503), fail(504), fail(408), fail(429),
        httpx.ReadTimeout("slow"), httpx.ConnectError("no route"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    ),
)  # fmt: skip
def test_passing_faults_are_tried_again(answering, clock, fault):
    handler = replies(fault, fault, picture())
    assert answering(handler).picture(URL, bytes) == b"data"
    assert len(handler.asked) == 3 and clock.waited == [1.0, 2.0]


def test_after_some_tries_it_is_left_for_another_run(answering, clock):
    handler = replies(fail(503))
    with pytest.raises(
        RetryLaterError, match=r"^pictures\.example did not answer, asked 5 times: status 503$"
    ):
        answering(handler).picture(URL, bytes)
    assert len(handler.asked) == 5 and clock.waited == [1.0, 2.0, 4.0, 8.0]


def test_a_host_that_answers_nothing_is_given_up(answering):
    handler = replies(httpx.ConnectError("refused"))
    fetcher = answering(handler)
    for _ in range(4):
        with pytest.raises(RetryLaterError):
            fetcher.picture(URL, bytes)
    assert len(handler.asked) == 15
    with pytest.raises(RetryLaterError, match=r"pictures\.example has left 3 in a row unanswered"):
        fetcher.picture(URL, bytes)


@pytest.mark.parametrize("status", (401, 403, 404, 410, 451))
def test_what_will_not_come_is_asked_for_once(answering, status):
    handler = replies(fail(status))
    with pytest.raises(PermanentHttpError, match=rf"^is not to be had \(status {status}\)$"):
        answering(handler).picture(URL, bytes)
    assert len(handler.asked) == 1


def test_a_picture_cut_short_is_asked_for_again_what_is_none_is_not(answering):
    def opened(data):
        if data != b"whole":
            raise ImageRejectedError("1.jpg", DAMAGED if data == b"wh" else "is not a picture")
        return data

    handler = replies(picture(data=b"wh"), picture(data=b"whole"))
    assert answering(handler).picture(URL, opened) == b"whole"
    handler = replies(picture(data=b"wh"))
    with pytest.raises(ImageRejectedError, match=DAMAGED):
        answering(handler).picture(URL, opened)
    assert len(handler.asked) == 5
    handler = replies(picture(data=b"<html>"))
    with pytest.raises(ImageRejectedError, match="is not a picture"):
        answering(handler).picture(URL, opened)
    assert len(handler.asked) == 1


def test_redirects_are_followed_a_few_times(answering):
    moved = fail(302, Location="/2.jpg")
    handler = replies(moved, moved, picture())
    assert answering(handler).picture(URL, bytes) == b"data"
    assert [request.url.path for request in handler.asked] == ["/1.jpg", "/2.jpg", "/2.jpg"]
    with pytest.raises(PermanentHttpError, match="redirects more than 5 times"):
        answering(replies(moved)).picture(URL, bytes)


def test_redirects_out_of_the_web_are_refused(fetcher, web):
    for target in (
        "file:///etc/passwd",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://xn--a/",
    ):
        web.bad = {1: f"to {target}"}
        with pytest.raises(PermanentHttpError, match=r"^may not be asked for: "):
            fetcher.picture(web.picture(1), bytes)


@pytest.mark.parametrize(
    "url",
    (
        "",
        "car",
        "ftp://example.org/1.jpg",
        "file:///etc/passwd",
        "http://[::1",
        "http://a\n",
        "http://xn--a/",
    ),
)
def test_what_is_no_address_of_the_web(fetcher, url):
    with pytest.raises((PermanentHttpError, RetryLaterError)):
        fetcher.picture(url, bytes)


def test_tokens_do_not_follow_a_redirect_elsewhere(answering):
    handler = replies(fail(302, Location="https://other.example/"), httpx.Response(200, json={}))
    answering(handler).json(URL, dict, {"Authorization": "Bearer secret"})
    assert "authorization" in handler.asked[0].headers
    assert "authorization" not in handler.asked[1].headers


def test_json_that_is_none_is_tried_again(answering):
    html = httpx.Response(200, content=b"<html>")
    handler = replies(html, httpx.Response(200, json=[]), httpx.Response(200, json={"a": 3}))
    assert answering(handler).json(URL, lambda answer: answer["a"]) == 3


def test_who_asks_is_told(fetcher, web):
    assert fetcher.picture(web.picture(5), bytes) == jpeg(5)
    (agent,) = web.agents
    assert agent.startswith("Packshot/") and "(ada@example.org) python-httpx/" in agent


@pytest.mark.parametrize(
    "contact", ("ada@example.org", " https://example.org/bots ", "http://a.it")
)
def test_contacts(contact):
    assert check_contact(contact) == contact.strip()


@pytest.mark.parametrize("contact", (None, "", "ada", "ada@", "a@b.c\r\nX: y", "é@b.it"))
def test_the_words_without_a_contact(contact):
    with pytest.raises(
        ClassImagesError, match=r"Name yours: --contact you@example\.org, or PACKSHOT_CONTACT"
    ):
        check_contact(contact)
