"""The guide's words: each language has the same ones, with the same numbers in them."""

import string

import pytest

from packshot.errors import PackshotError
from packshot.photos.guide.messages import LANGUAGES, in_words, words_of


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same(language):
    words, english = words_of(language), words_of("en")
    assert words.keys() == english.keys() and words
    for kind, said in words.items():
        assert said.keys() == {"missing", "advice"}, kind
        for part, text in said.items():
            assert text.strip() and fields(text) == fields(english[kind][part]), (kind, part)


def test_numbers_stand_where_they_belong():
    words = {"few": {"missing": "{count} of {wanted}", "advice": "Take {more} more"}}
    found = in_words("few", {"count": 3, "wanted": 10, "more": 7}, words)
    assert (found.missing, found.advice) == ("3 of 10", "Take 7 more")


@pytest.mark.parametrize("language", ["de", "", "EN", "../en", "en.toml"])
def test_a_language_without_words_is_named(language):
    with pytest.raises(PackshotError, match="choose of en, it"):
        words_of(language)
