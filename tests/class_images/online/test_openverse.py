"""Openverse's paging, page sizes and limits, on the server of these tests."""

import itertools

import pytest

from packshot.class_images.online.api_search import asking
from packshot.class_images.online.licences import FREE
from packshot.class_images.online.openverse import Openverse
from packshot.class_images.online.request_log import RequestLog
from packshot.errors import ClassImagesError
from tests.class_images.online.server import TOKEN


@pytest.fixture
def listed(web, fetcher, clock, tmp_path):
    """The first candidates of a source."""

    def walk(count, token=None, words="car"):
        source = Openverse(words, FREE, token, api=web.openverse)
        ledger = RequestLog(tmp_path / "ledger", clock.now())
        return list(itertools.islice(source.candidates(asking(source, fetcher, ledger)), count))

    return walk


def asked(web):
    return [dict(part.split("=") for part in path.split("?")[1].split("&")) for path in web.pages]


def test_pages_to_the_depth_that_is_shown_then_another_query(web, listed, clock):
    web.results = 300
    found = listed(500)
    assert [one.title for one in found[:241]] == [f"Car [{n}]" for n in (*range(240), 250)]
    pages = asked(web)
    assert [(page["q"], page["page"]) for page in pages[:14]] == [
        *(("car", str(number)) for number in range(1, 13)), ("red+car", "1"), ("red+car", "2"),
    ]  # fmt: skip
    assert {(page["license"], page["category"], page["page_size"]) for page in pages} == {
        ("cc0%2Cpdm%2Cby", "photograph", "20")
    }
    assert web.exceeded == 0 and sum(clock.waited) >= 60  # 25 pages at twenty a minute


def test_a_token_brings_larger_pages_to_the_same_depth(web, listed):
    assert len(listed(240, TOKEN)) == 240
    assert [page["page_size"] for page in asked(web)] == ["48"] * 5
    assert len(web.requests["oauth2"]) == 5 and not web.requests["anon"]


def test_a_token_that_has_expired_is_done_without(web, listed):
    found = listed(60, "old")
    assert [one.title for one in found] == [f"Car [{n}]" for n in range(60)]
    assert [page["page_size"] for page in asked(web)] == ["20"] * 3


def test_a_query_with_few_results_ends(web, listed):
    web.results = 6
    assert len(listed(12)) == 12
    assert [page["q"] for page in asked(web)] == ["car", "red+car"]


def test_a_page_that_is_deeper_than_it_shows_ends_the_query(web, listed):
    web.depth = 60
    assert len(listed(70)) == 70
    assert [(page["q"], page["page"]) for page in asked(web)][3:] == [
        ("car", "4"),
        ("red+car", "1"),
    ]


def test_the_words_of_a_refusal(web, listed):
    web.openverse += "no/such/"
    with pytest.raises(
        ClassImagesError, match=r"^Openverse refused http://.*: it is not to be had"
    ):
        listed(1)


RESULT = {"url": "https://example.org/0.jpg", "license": "by", "title": "0"}


@pytest.mark.parametrize(
    "odd",
    (None, 3, [], {}, {"license": "by"}, RESULT | {"license": None}, RESULT | {"url": 3}),
)
def test_an_odd_result_costs_itself_and_not_the_page(odd):
    read = Openverse("car", FREE)._reader(1)
    found, more = read({"results": [RESULT, odd, RESULT | {"width": "wide"}], "page_count": 1})
    assert [(one.title, one.width) for one in found] == [("0", None)] * 2 and not more


def test_a_page_that_does_not_tell_how_many_there_are_is_the_last():
    found, more = Openverse("car", FREE)._reader(1)({"results": [RESULT], "page_count": None})
    assert len(found) == 1 and not more
