"""What an answer is refused for, and how much of it is read."""

import gzip

import httpx
import pytest

from packshot.class_images.online import http_responses
from packshot.class_images.online.http_responses import PermanentHttpError
from tests.class_images.online.answering import JPEG, URL, picture, replies


@pytest.mark.parametrize(
    "headers",
    (
        {"X-Robots-Tag": "noai"}, {"X-Robots-Tag": "noimageai"}, {"X-Robots-Tag": "NoIndex"},
        {"X-Robots-Tag": "nofollow, noai"}, {"X-Robots-Tag": "packshot: noai"},
        {"X-Robots-Tag": "noai, max-image-preview: large"}, {"tdm-reservation": "1"},
    ),
)  # fmt: skip
def test_what_is_not_to_be_used_is_left_alone(answering, headers):
    with pytest.raises(
        PermanentHttpError, match="is not to be used for training: its site says so"
    ):
        answering(replies(picture(headers))).picture(URL, bytes)


@pytest.mark.parametrize(
    "value", ("all", "nofollow", "otherbot: noai", "max-image-preview: large", "unavailable_after: 25 Jun")
)  # fmt: skip
def test_other_rules_do_not_concern_us(answering, value):
    answer = replies(picture({"X-Robots-Tag": value}, b"all of it"))
    assert answering(answer).picture(URL, bytes) == b"all of it"


def test_each_line_of_rules_counts(answering):
    headers = [
        ("content-type", "image/jpeg"),
        ("x-robots-tag", "otherbot: all"),
        ("x-robots-tag", "noai"),
    ]
    with pytest.raises(PermanentHttpError, match="noai"):
        answering(replies(httpx.Response(200, headers=headers))).picture(URL, bytes)


@pytest.mark.parametrize(
    "kind", ("text/html; charset=utf-8", "image/svg+xml", "image/gif", "video/mp4")
)
def test_what_says_that_it_is_no_picture_is_not_read(answering, kind):
    class Unread(httpx.SyncByteStream):
        def __iter__(self):
            raise AssertionError("was read")

    answer = httpx.Response(200, headers={"content-type": kind}, stream=Unread())
    with pytest.raises(
        PermanentHttpError, match=r"^is no image that Packshot reads \(\w+/[\w+]+\)$"
    ):
        answering(replies(answer)).picture(URL, bytes)


def test_bytes_are_capped_whatever_is_said(answering, monkeypatch):
    monkeypatch.setattr(http_responses, "MOST_BYTES", 2**20)
    read = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                read.append(1)
                yield bytes(65_536)

    for said in ({}, {"content-length": "10"}, {"content-length": "10000000000"}):
        answer = httpx.Response(200, headers=JPEG | said, stream=Endless())
        with pytest.raises(PermanentHttpError, match=r"^has more than 1 MB$"):
            answering(replies(answer)).picture(URL, bytes)
    assert len(read) <= 2 * 18


@pytest.mark.parametrize("coding", ("gzip", "br", "gzip, gzip"))
def test_what_is_compressed_though_it_was_not_asked_for_is_not_read(answering, coding):
    bomb = picture({"content-encoding": coding}, b"")
    with pytest.raises(PermanentHttpError, match=r"^is compressed as it was not asked for$"):
        answering(replies(bomb)).picture(URL, bytes)
    if coding != "gzip":
        with pytest.raises(PermanentHttpError, match="is compressed as it was not asked for"):
            answering(replies(bomb)).json(URL, dict)


@pytest.mark.slow
def test_json_is_capped_as_it_is_decompressed(answering):
    bomb = picture({"content-encoding": "gzip"}, gzip.compress(bytes(2**26)))
    with pytest.raises(PermanentHttpError, match=r"^has more than 8 MB$"):
        answering(replies(bomb)).json(URL, dict)
