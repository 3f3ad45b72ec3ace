"""Tokenizers built offline from their published vocabularies (`vocabularies/`, licences beside them)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import CLIPTokenizer, Qwen2Tokenizer, T5TokenizerFast

_VOCABULARIES = Path(__file__).parent / "vocabularies"
_MERGES = _VOCABULARIES / "bpe_simple_vocab_16e6.txt.gz"
_T5 = _VOCABULARIES / "t5_tokenizer.json.gz"
_QWEN = _VOCABULARIES / "qwen_merges.txt.gz"
_BYTES = 256
_VOCABULARY = 49_408
_START, _END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 77
# Qwen's tokens after those of its merges, in their order; Qwen3 has what it thinks in, too.
_QWEN_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
_QWEN_PLAIN = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
_QWEN3_PLAIN = ("<tool_response>", "</tool_response>", "<think>", "</think>")
# A chat as Qwen3's own template has it, without tools; thoughts that are not wanted are empty.
CHAT = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)


def clip_tokenizer(pad: str | None = None) -> CLIPTokenizer:
    """The tokenizer of Stable Diffusion 1.x: 49,408 tokens, 77 at most, padded with the end token.

    `pad` replaces the padding token, for other families.

    The vocabulary is in the order of OpenAI's CLIP (arXiv 2103.00020): the 256 bytes, the same at
    the end of a word, one token per merge, start and end.
    """
    from transformers import CLIPTokenizer

    merges = _merges()
    # Given as `vocab_file` and `merges_file`, transformers 5 silently makes a two-token vocabulary.
    return CLIPTokenizer(
        vocab=_vocabulary(merges),
        merges=merges,
        bos_token=_START,
        eos_token=_END,
        unk_token=_END,
        pad_token=pad or _END,
        model_max_length=MAX_TOKENS,
    )


def t5_tokenizer() -> T5TokenizerFast:
    """The tokenizer of T5 v1.1 (arXiv 1910.10683), for FLUX.1 and Stable Diffusion 3."""
    from tokenizers import Tokenizer
    from transformers import T5TokenizerFast

    tokenizer = Tokenizer.from_str(gzip.decompress(_T5.read_bytes()).decode("utf-8"))
    return T5TokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_ids=100,
    )


def qwen_tokenizer(*, thinks: bool) -> Qwen2Tokenizer:
    """The tokenizer of Qwen2.5 or, if it `thinks`, of Qwen3, with Qwen3's chat template.

    The vocabulary's order: the 256 bytes, one token per merge, the special tokens.
    """
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    lines = gzip.decompress(_QWEN.read_bytes()).decode("utf-8").splitlines()
    merges = [(first, second) for first, second in (line.split(" ") for line in lines)]
    plain = (*_QWEN_PLAIN, *_QWEN3_PLAIN) if thinks else _QWEN_PLAIN
    tokens = [*_byte_letters(), *("".join(pair) for pair in merges), *_QWEN_SPECIAL, *plain]
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=merges,
        eos_token="<|im_end|>",
        pad_token=_QWEN_SPECIAL[0],
        chat_template=CHAT,
    )
    tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in _QWEN_SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    return tokenizer


def _merges() -> list[tuple[str, str]]:
    lines = gzip.decompress(_MERGES.read_bytes()).decode("utf-8").split("\n")
    # The first line is a header; CLIP takes only as many merges as fill its vocabulary.
    wanted = lines[1 : _VOCABULARY - 2 * _BYTES - 2 + 1]
    return [(first, second) for first, second in (line.split() for line in wanted)]


def _vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    letters = _byte_letters()
    tokens = letters + [letter + "</w>" for letter in letters]
    tokens += ["".join(pair) for pair in merges] + [_START, _END]
    return {token: index for index, token in enumerate(tokens)}


def _byte_letters() -> list[str]:
    """One visible letter per byte, in GPT-2's order: printable ones first, others from U+0100."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    printable += range(ord("®"), ord("ÿ") + 1)
    hidden = _BYTES - len(printable)
    return [chr(byte) for byte in printable] + [chr(_BYTES + index) for index in range(hidden)]
