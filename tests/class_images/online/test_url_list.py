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
        ("a.csv", "link\nx\n", r"a\.csv has no line with a URL: one has no URL: .*link"),
        ("a.jsonl", '{"url": 3}\n', r"one has no URL: .*\. Name each picture's in a column 'url'"),
        ("a.jsonl", "[]\n", r"one cannot be read: \[\] is no JSON object\."),
        ("a.jsonl", "{", "cannot be read"),
        ("a.jsonl", "[" * 100_000, "cannot be read"),
        ("a.csv", "url\n" + "x" * 200_000, "cannot be read: field larger"),
        (".", "", "cannot be read: .*Mend it"),
    ),
)
def test_the_words_of_a_list_that_is_none(tmp_path, name, text, words):
    file = tmp_path / name
    if text:
        file.write_text(text)
    with pytest.raises(ClassImagesError, match=words):
        list(UrlList(file).candidates(None))


GOOD = {"a.csv": f"{URL},by", "a.jsonl": json.dumps({"url": URL, "license": "by"}), "a.txt": URL}
ODD = {
    "a.csv": (b",by", b"x" * 200_000 + b",by", b"   ,"),
    "a.jsonl": (b"{", b"[1]", b'{"url": 3}', b'{"url": ["a"]}', b"[" * 100_000, b"\xff{}"),
}


@pytest.mark.parametrize("name, odd", [(name, odd) for name in ODD for odd in ODD[name]])
def test_an_odd_line_costs_itself_and_not_the_list(tmp_path, name, odd):
    head = b"url,license\n" if name == "a.csv" else b""
    good = GOOD[name].encode()
    (tmp_path / name).write_bytes(head + good + b"\n" + odd + b"\n" + good + b"\n")
    first, wrong, last = UrlList(tmp_path / name).candidates(None)
    assert first == last and (first.url, first.licence) == (URL, "CC BY")
    assert wrong.url == f"{name}, line {3 if head else 2}"
    assert wrong.reason.startswith(("has no URL", "cannot be read"))


@pytest.mark.parametrize("separator", ",;\t")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_tables_of_any_spreadsheet_are_read(tmp_path, separator, encoding):
    text = f"url{separator}creator\r\n{URL}{separator}Zoë – là\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    (found,) = UrlList(tmp_path / "a.csv").candidates(None)
    assert (found.url, found.author) == (URL, "Zoë – là")


def test_letters_that_are_no_utf8_are_of_windows_and_in_one_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(f"{URL}?\u00e8\n".encode() + b"https://\xff.org/\n")
    assert [one.url for one in UrlList(tmp_path / "a.txt").candidates(None)] == [
        URL + "?\u00e8", "https://\u00ff.org/",
    ]  # fmt: skip
