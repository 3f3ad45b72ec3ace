"""How much of a prompt each family's text encoder reads, by what changes its embeddings."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packshot.models.prompt_length import count_tokens, read_part
from tests.families import MAKERS

LONG = " ".join("a" * 3000)


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    "family",
    [
        name if name in ("sd1", "flux1") else pytest.param(name, marks=pytest.mark.slow)
        for name in MAKERS
    ],
)
def test_what_follows_the_part_that_is_read_changes_nothing_and_its_last_word_does(
    family, loaded, tiny_checkpoint
):
    base = loaded(tiny_checkpoint(family))
    read = read_part(base, LONG)
    assert LONG.startswith(read) and count_tokens(base, read) <= base.prompt_limit[1]
    assert 60 < len(read) < len(LONG)
    with torch.no_grad():
        whole, other, less = (
            base.encode_prompts([text])
            for text in (LONG, read + " b" * 2000, read[:-1] + "b" + LONG[len(read) :])
        )
    assert same(whole, other) and not same(whole, less)
    assert read_part(base, read) == read


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("a car", "a car"),
        ("", ""),
        ("word " * 74 + "word word", "word " * 74 + "word"),
        ("word " * 74 + "unsplittablewordofmany", "word " * 73 + "word"),
        ("word " * 75 + "lost words", "word " * 74 + "word"),
        ("在桌子上的汽车，" * 40, None),
        ("ohwx car " + "在桌子上的汽车，" * 40 + " end", None),
        ("carlike" * 400, None),
    ],
)
def test_only_whole_words_are_read_of_a_prompt_that_has_some(tiny_base, prompt, read):
    found = read_part(tiny_base, prompt)
    assert prompt.startswith(found) and count_tokens(tiny_base, found) <= 77
    assert found == read if read is not None else count_tokens(tiny_base, found) > 73


@given(st.text(max_size=600) | st.lists(st.sampled_from(["ohwx", "🚗", "汽车", "a"])).map(" ".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_of_any_text_a_beginning_is_read(tiny_base, text):
    found = read_part(tiny_base, text)
    assert text.startswith(found) and count_tokens(tiny_base, found) <= 77
    assert found == text or count_tokens(tiny_base, text) > 77


def test_a_base_without_tokenizers_reads_all(tiny_base, monkeypatch):
    monkeypatch.setattr(tiny_base, "tokenizers", {})
    assert read_part(tiny_base, LONG) == LONG
