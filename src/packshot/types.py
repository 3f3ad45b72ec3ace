"""Types that several packages share; importing them loads no large library."""

from __future__ import annotations

import re
from typing import Literal

Precision = Literal["bf16", "fp16", "fp32"]
"""What a base computes in."""

SEEDS = 2**64
"""How many seeds an image may have: PyTorch's generators take no larger one."""

MAX_RANK = 1024
"""Of a LoRA that is trained."""

TargetModules = Literal["cross-attention", "attention", "attention+mlp", "all"]
"""Which layers a LoRA adapts: cross-attention only; all attention; also feed-forward and the
transformers' projections; also the convolutions and time projections of the residual blocks."""

WeightStorage = Literal["full", "int8", "nf4", "offload"]
"""How a frozen denoiser lies in memory. full: in the dtype that it computes in. int8: rows of 8 bits
with a scale each (LLM.int8, arXiv 2208.07339). nf4: blocks of 4 bits (QLoRA, arXiv 2305.14314).
offload: full, its blocks in main memory, each copied to the GPU while it computes."""

WeightStorageChoice = Literal["auto", "full", "int8", "nf4", "offload"]
"""As a project asks for it: auto is the first of them that fits the GPU."""

InsertionMethod = Literal["composite", "inpaint"]
"""composite: the best-matching real photo, cut out. inpaint: the LoRA paints the product there."""

PLACEHOLDER = re.compile(
    r"[\[{]\s*(subject|class|trigger(?:[ _]?word)?|name)\s*[\]}]", re.IGNORECASE
)
"""What stands for the product in prompts and captions: `{subject}` for trigger and class noun,
`{class}`, and `{trigger}`, which ai-toolkit writes `[trigger]` or `[name]`."""
