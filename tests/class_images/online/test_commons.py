"""Commons' search, continuation, metadata and errors, on the server of these tests."""

import itertools
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def page_of(number=0, **given):
    info = {
        "url": f"https://upload.example/{number}.jpg", "width": 10, "height": 10,
        "descriptionurl": f"https://commons.example/{number}",
        "extmetadata": {"LicenseShortName": {"value": "CC0"}},
    }  # fmt: skip
    return {"index": number, "title": f"File:{number}.jpg", "imageinfo": [info], **given}


def read(*pages, **answer):
    _, reader = Commons("car")._request("car", 1)
    return reader({"query": {"pages": list(pages)}, **answer})


INFO = page_of(1)["imageinfo"][0]
ODD = {
    "no metadata, as PHP writes it": page_of(1, imageinfo=[INFO | {"extmetadata": []}]),
    "metadata of another shape": page_of(1, imageinfo=[INFO | {"extmetadata": [3]}]),
    "an entry without a value": page_of(1, imageinfo=[INFO | {"extmetadata": {"Artist": {}}}]),
    "its file is missing": page_of(1, imageinfo=[{"filemissing": True}]),
    "no information": {"index": 1, "title": "File:1.jpg"},
    "information of another shape": page_of(1, imageinfo="x"),
    "nothing": None,
    "a number": 3,
    "an address that is none": page_of(1, imageinfo=[INFO | {"url": 5}]),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_page_costs_itself_and_not_the_answer(odd):
    found, more = read(page_of(0), ODD[odd], page_of(2))
    assert [one.title for one in found] == ["0", "2"] and not more


def test_what_a_picture_can_do_without_is_done_without():
    bare = {key: INFO[key] for key in ("url", "extmetadata")} | {"thumbwidth": "wide"}
    found, _ = read({"imageinfo": [bare]}, page_of(0))
    assert [one.title for one in found] == ["0", ""]  # what has no place is last
    assert (found[1].source, found[1].width) == (INFO["url"], None)


@pytest.mark.parametrize("answer", ({"query": []}, {"query": None, "continue": []}, {}))
def test_an_empty_answer_is_the_end(answer):
    _, reader = Commons("car")._request("car", 1)
    assert reader(answer) == ([], False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(("index", "title", "imageinfo", "extmetadata", "url", "width", "value",
                         "LicenseShortName", "thumburl", "filemissing")), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(odd=JSON)
def test_whatever_a_page_is_the_others_are_read(odd):
    found, _ = read(page_of(1), odd, page_of(2))
    assert {"1", "2"} <= {one.title for one in found}
