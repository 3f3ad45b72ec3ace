"""What strangers tell of a picture, made plain."""

import pytest

from packshot.class_images.online.candidate import (
    MOST_LETTERS,
    Candidate,
    Stored,
    make_candidate,
    plain,
)
from packshot.class_images.online.licences import UNTOLD
from packshot.errors import ClassImagesError

URL = "https://a.example/1.jpg"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ""), (0, ""), (12, "12"), ("  a \n b\t", "a b"),
        ('<a href="x">Ada</a> &amp; <b>Bob</b>', "Ada & Bob"), ("a<script>b", "a b"),
        ("&lt;script&gt;", "<script>"), ("\x1b[2Ja\u202eb\x00", "[2Ja b"), ("1 < 2", "1 < 2"),
        ("<" * 9, "<" * 9), ("è 車", "è 車"), ("x" * 10**6, "x" * MOST_LETTERS),
    ],
)  # fmt: skip
def test_a_strangers_words_are_one_short_line(text, expected):
    assert plain(text) == expected


def test_the_usual_columns_are_known_and_the_first_that_says_something_counts():
    row = {
        "source": "", "foreign_landing_url": "https://a.example/page", "title": "<i>A car</i>",
        "creator": "Ada", "artist": "Bob", "license": "by", "license_version": "4.0",
        "license_url": "https://creativecommons.org/licenses/by/4.0/", "text": "a red car",
    }  # fmt: skip
    told = make_candidate(URL, row)
    assert (told.url, told.source) == (URL, "https://a.example/page")
    assert (told.title, told.author, told.prompt) == ("A car", "Ada", "a red car")
    assert "4.0" in told.licence and told.licence.lower() != UNTOLD


def test_where_nothing_is_told_it_says_so():
    told = make_candidate(URL, {})
    assert (told.source, told.author, told.licence, told.prompt) == (URL, "unknown", UNTOLD, "")


def test_stored_bytes_are_those_of_their_place(tmp_path):
    (tmp_path / "a.tar").write_bytes(bytes(range(100)))
    assert Stored(tmp_path / "a.tar", 10, 5).read() == bytes(range(10, 15))
    assert Stored(tmp_path / "a.tar", 99, 5).read() == b"\x63"
    for path in (tmp_path / "gone.tar", tmp_path):
        with pytest.raises(ClassImagesError, match=r"cannot be read \("):
            Stored(path, 0, 1).read()


def test_where_bytes_lie_is_not_written_down(tmp_path):
    told = make_candidate(URL, {}, Stored(tmp_path / "a", 0, 1))
    assert told.stored and "stored" not in told.model_dump()


def test_half_a_pair_of_surrogates_is_no_obstacle():
    halved = Candidate(url="https://x.org/\ud800", source="\udfff", title="a")
    assert (halved.url, halved.source) == ("https://x.org/?", "?")
    halved.model_dump_json()
