"""Commons' search, continuation, metadata and errors, on the server of these tests."""

import itertools
import urllib.parse

from packshot.class_images.online.api_search import asking
from packshot.class_images.online.commons import Commons
from packshot.class_images.online.request_log import RequestLog


def listed(web, fetcher, clock, folder, count):
    source = Commons("car", api=web.commons)
    ledger = RequestLog(folder, clock.now())
    return list(itertools.islice(source.candidates(asking(source, fetcher, ledger)), count))


def test_what_is_told_of_a_picture(web, fetcher, clock, tmp_path):
    found = listed(web, fetcher, clock, tmp_path, 4)
    # 4 is under GFDL, 6 deleted, 5 begins anew.
    assert [one.licence for one in found] == [
        "CC BY 4.0",
        "CC0 1.0",
        "CC BY-SA 4.0",
        "public domain",
    ]
    first = found[0]
    assert (first.url, first.source) == (
        web.picture(0), "https://commons.wikimedia.org/wiki/File:Car_0.jpg",
    )  # fmt: skip
    assert (first.title, first.author) == ("Car 0", "Ada & 0")
    assert first.licence_url == "https://creativecommons.org/licenses/by/4.0"
    assert (first.width, first.height) == (1280, 853)


def test_it_goes_on_where_a_page_ended_then_with_another_query(web, fetcher, clock, tmp_path):
    web.results = 120
    listed(web, fetcher, clock, tmp_path, 85)
    asked = [urllib.parse.parse_qs(path.split("?")[1]) for path in web.pages]
    assert [(page["gsrsearch"][0], page["gsroffset"][0]) for page in asked] == [
        ("car filetype:bitmap filemime:image/jpeg", "0"),
        ("car filetype:bitmap filemime:image/jpeg", "50"),
        ("car filetype:bitmap filemime:image/jpeg", "100"),
        ("red car filetype:bitmap filemime:image/jpeg", "0"),
    ]


def test_a_server_that_lags_is_waited_for(web, fetcher, clock, tmp_path):
    web.api_faults, began = {1: "maxlag"}, clock.time
    assert listed(web, fetcher, clock, tmp_path, 1) and clock.time - began == 5
