"""Captions as sd-scripts, OneTrainer and ai-toolkit take them from a text."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.images import caption_text
from packshot.images.caption_text import Remarks, Syntax


def read(text, **settings):
    remarks = Remarks()
    return Syntax(**settings).read(text, "a.txt", remarks), list(remarks.names)


def outcomes_of_sd_scripts(text, separator):
    """All captions that sd-scripts may train on, with enable_wildcard and without shuffling."""
    found = set()
    for line in filter(None, (line.strip() for line in text.splitlines())):
        pieces = re.split(r"\{([^{}]+)\}", line)
        choices = [p.split("|") if at % 2 else [p] for at, p in enumerate(pieces)]
        for chosen in itertools.product(*choices):
            tags = "".join(chosen).replace(separator, ",").split(",")
            found.add(", ".join(" ".join(tag.split()) for tag in tags if tag.strip()))
    return found


WORDS = st.sampled_from(["ohwx car", "sks", "写真", "on a table", "50%", "(red)"])
PIECES = WORDS | st.lists(WORDS, min_size=1, max_size=3).map(lambda w: "{" + "|".join(w) + "}")
LINES = st.lists(PIECES, min_size=1, max_size=4).flatmap(
    lambda pieces: st.sampled_from([", ", " ||| ", "|||"]).map(lambda mark: mark.join(pieces))
)


@given(st.lists(LINES, min_size=1, max_size=3), st.sampled_from(["\n", "\r\n", " \r\n\n"]))
def test_what_is_read_is_one_of_the_captions_that_sd_scripts_would_train_on(lines, end):
    text = end.join(lines)
    caption, remarks = read(text, has_wildcards=True)
    assert ", ".join(t for t in caption.split(", ") if t) in outcomes_of_sd_scripts(text, "|||")
    assert (caption_text.LINES in remarks) == (len(lines) > 1)
    assert "|||" not in caption


@given(st.text(max_size=200), st.sampled_from([None, True, False]))
def test_any_text_is_one_line(text, has_wildcards):
    caption, _ = read(text, has_wildcards=has_wildcards)
    assert caption == " ".join(caption.split()) and caption.isprintable()


@pytest.mark.parametrize(
    ("text", "settings", "caption", "remarks"),
    [
        ("ohwx car\n", {}, "ohwx car", []),
        ("ohwx car\nNOTE: too dark\nx", {}, "ohwx car", [caption_text.LINES]),
        ("\n \nohwx car", {}, "ohwx car", [caption_text.EMPTY]),
        ("", {}, "", []),
        (" \n ", {}, "", []),
        ("{a|b} {{c}} {d}", {"has_wildcards": True}, "a {c} d", [caption_text.ALTERNATIVES]),
        ("{a|b} {{c}} {d}", {"has_wildcards": False}, "{a|b} {{c}} {d}", [caption_text.LITERAL]),
        ("{a|b} car", {}, "a car", [caption_text.ALTERNATIVES]),
        ("{{c}} {d}", {}, "{{c}} {d}", []),
        ("{trigger} car {x}", {"has_wildcards": True}, "{trigger} car x", []),
        ("ohwx ||| red, wet ||| 35mm", {}, "ohwx, red, wet, 35mm", [caption_text.ORDER]),
        ("||| red, |||", {}, "red", [caption_text.ORDER]),
        ("a ## b, c", {"keep_tokens_separator": "##"}, "a, b, c", [caption_text.ORDER]),
        ("a;;;b, c", {"secondary_separator": ";;;"}, "a, b, c", []),
        ("car", {"prefix": "photo |||", "suffix": ", wet"}, "photo, car , wet", [caption_text.ORDER]),
        ("[trigger] car,\nin snow\n", {}, "[trigger] car, in snow", [caption_text.JOINED]),
        ("[trigger] car\nx", {"joins_lines": False}, "[trigger] car", [caption_text.LINES]),
    ],
)  # fmt: skip
def test_each_choice_is_the_first_and_told(text, settings, caption, remarks):
    assert read(text, **settings) == (caption, remarks)


def test_remarks_are_told_by_kind():
    remarks = Remarks()
    for name in "abcd":
        remarks.add("two lines", name)
    remarks.add("a hat", "e")
    assert remarks.notes() == [
        "4 captions (a, b, c, …) have two lines",
        "the caption of e has a hat",
    ]
