"""How much of a prompt a base's text encoders read: each family's own number of tokens."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packshot.models.diffusion_model import DiffusionModel

_LONGEST_WORD = 40
"""Characters; what is longer is of a script without spaces, and is cut anywhere."""


def count_tokens(base: DiffusionModel, prompt: str) -> int:
    """The tokens up to a prompt's end, with those before it; 0 in a base without tokenizers.

    What a template has after the prompt does not count: it is the first that is cut off.
    """
    tokenizer = base.tokenizers.get(base.prompt_limit[0])
    if tokenizer is None:
        return 0
    text = base.prompt_in_template(prompt)
    end = text.rfind(prompt) + len(prompt)
    return len(tokenizer(text[:end], verbose=False).input_ids)


def read_part(base: DiffusionModel, prompt: str) -> str:
    """The beginning of a prompt that the text encoder reads: all of it, or whole words.

    Where a base has several, that is the one that reads most: T5 of FLUX.1, not its CLIP.
    """
    limit = base.prompt_limit[1]
    if count_tokens(base, prompt) <= limit:
        return prompt

    def fit(ends: Sequence[int]) -> int:
        return bisect_right(ends, limit, key=lambda end: count_tokens(base, prompt[:end]))

    # By words: of a word that is cut, the pieces may be more tokens than the whole.
    ends = [0, *(word.end() for word in re.finditer(r"\S+", prompt))]
    words = max(1, fit(ends))
    begin, end = ends[words - 1], ends[min(words, len(ends) - 1)]
    if begin > 0 and end - begin <= _LONGEST_WORD:
        return prompt[:begin]
    return prompt[: begin + fit(range(begin + 1, end))].rstrip()
