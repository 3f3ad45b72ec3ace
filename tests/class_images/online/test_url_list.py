import json

import pytest

from packshot.class_images.online.url_list import UrlList
from packshot.errors import ClassImagesError

URL = "https://example.org/1.jpg"


def listed(file, text):
    file.write_text(text, encoding="utf-8")
    return list(UrlList(file).candidates(None))


def test_one_url_a_line(tmp_path):
    found = listed(tmp_path / "a.txt", f"\ufeff# cars\n{URL}\n\n  {URL}?2\n")
    assert [one.url for one in found] == [URL, URL + "?2"]
    assert (found[0].source, found[0].author, found[0].licence) == (URL, "unknown", "unknown")


def test_tables_tell_more(tmp_path):
    told = {
        "url": URL, "license": "by", "license_version": "2.0", "creator": "<b>Ada</b>\n Byron",
        "foreign_landing_url": "https://example.org/1", "title": "A car", "caption": "a red car",
    }  # fmt: skip
    comma, tab = (
        sign.join(told) + "\n" + sign.join(told.values()).replace("\n", "") for sign in ",\t"
    )
    tables = {"a.csv": comma, "a.tsv": tab, "a.jsonl": json.dumps(told) + "\n\n"}
    for name, text in tables.items():
        (found,) = listed(tmp_path / name, text)
        assert (found.url, found.source) == (URL, "https://example.org/1")
        assert (found.title, found.author, found.licence, found.prompt) == (
            "A car", "Ada Byron", "CC BY 2.0", "a red car",
        )  # fmt: skip


@pytest.mark.parametrize(
    "name, text, words",
    (
        (
            "a.csv",
            "link\nx\n",
            r"a\.csv has a line without a URL: .*link.*\. Name each picture's in",
        ),
        ("a.jsonl", '{"url": 3}\n', "has a line without a URL"),
        ("a.jsonl", "[]\n", r"a\.jsonl cannot be read: \[\] is no JSON object\. Mend it\."),
        ("a.jsonl", "{", r"cannot be read: .*\. Mend it\."),
        ("a.jsonl", "[" * 100_000, "cannot be read"),
        ("a.csv", "url\n" + "x" * 200_000, "cannot be read: field larger"),
        ("a.txt", "\ud800", "cannot be read"),
    ),
)
def test_the_words_of_a_list_that_is_none(tmp_path, name, text, words):
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    with pytest.raises(ClassImagesError, match=words):
        list(UrlList(file).candidates(None))
