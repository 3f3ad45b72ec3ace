"""Tokenizers made from their published vocabularies, against ids that are known."""

import gzip

import pytest

from packshot.weights import tokenizers
from packshot.weights.tokenizers import qwen_tokenizer


@pytest.fixture(scope="module", params=[False, True])
def qwen(request):
    return request.param, qwen_tokenizer(thinks=request.param)


def test_qwens_ids_are_those_of_its_own_vocabulary(qwen):
    """As Qwen's published vocab.json and merges.txt give them."""
    _, tokenizer = qwen
    for text, ids in {
        "a photo of ohwx car, dusk": [64, 6548, 315, 14019, 20984, 1803, 11, 92885],
        "": [],
        "na\u00efve \u2014 \u4f60\u597d 1234  x\n\n's": [
            3376, 37572, 586, 1959, 220, 108386, 220, 16, 17, 18, 19, 220, 856, 271, 594,
        ],
        "<|im_start|>system\nhi<|im_end|>\n": [151644, 8948, 198, 6023, 151645, 198],
    }.items():  # fmt: skip
        assert tokenizer(text).input_ids == ids


def test_only_qwen3_has_tokens_to_think_in(qwen):
    thinks, tokenizer = qwen
    ids = tokenizer("<think>\n\n</think>\n\n").input_ids
    assert (ids == [151667, 271, 151668, 271]) == thinks
    assert tokenizer("<|video_pad|><tool_call><|file_sep|>").input_ids == [151656, 151657, 151664]
    assert len(tokenizer) == (151669 if thinks else 151665)


def test_what_is_shorter_is_padded_at_its_end(qwen):
    tokens = qwen[1](["a photo", "a"], padding=True)
    assert tokens.input_ids[1] == [64, 151643]
    assert tokens.attention_mask == [[1, 1], [1, 0]]


def test_a_chat_is_as_qwen3_has_it(qwen):
    def said(**told):
        turn = [{"role": "user", "content": "a {car}"}]
        return qwen[1].apply_chat_template(turn, tokenize=False, add_generation_prompt=True, **told)

    asked = "<|im_start|>user\na {car}<|im_end|>\n<|im_start|>assistant\n"
    assert said() == said(enable_thinking=True) == asked
    assert said(enable_thinking=False) == asked + "<think>\n\n</think>\n\n"


def test_merges_are_all_there_and_make_what_was_made_before():
    lines = gzip.decompress(tokenizers._QWEN.read_bytes()).decode().splitlines()
    known = set(tokenizers._byte_letters())
    assert len(lines) == 151_643 - 256
    for line in lines:
        first, second = line.split(" ")
        assert first in known and second in known
        known.add(first + second)
    assert len(known) == 151_643
