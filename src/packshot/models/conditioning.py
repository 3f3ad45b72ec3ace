"""What the denoiser is told beside the noisy latents: prompts, alone and in a batch, and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

Conditioning = dict[str, Tensor]
"""What the denoiser is told of the prompts; each tensor's first dimension is the batch.

"context" [B, tokens, width] is in every family's. "mask" [B, tokens] is there only if prompts of a batch
have different lengths: of ones it would change nothing, and keep PyTorch from flash attention.
"""


def join_conditionings(each: Sequence[Conditioning]) -> Conditioning:
    """One batch of prompts that were encoded alone (B = 1); shorter ones are followed by zeros.

    Whether there is a mask follows from the shapes: no GPU is waited for.
    """
    joined = {
        name: pad_sequence([one[name][0] for one in each], batch_first=True)
        for name in each[0]
        if name != "mask"  # in caches of earlier versions: of one prompt, it is of ones
    }
    lengths = [one["context"].shape[1] for one in each]
    if min(lengths) < max(lengths):
        places = torch.arange(max(lengths))
        own = places < torch.tensor(lengths)[:, None]
        joined["mask"] = own.to(joined["context"].device)
    return joined


def split_conditioning(joined: Conditioning) -> list[Conditioning]:
    """The inverse of `join_conditionings`: each prompt's own (B = 1), as long as it is."""
    each = [
        {name: value[row, None] for name, value in joined.items() if name != "mask"}
        for row in range(len(joined["context"]))
    ]
    if "mask" in joined:
        for one, length in zip(each, joined["mask"].sum(dim=1).tolist(), strict=True):
            one["context"] = one["context"][:, : int(length)]
    return each


@dataclass(frozen=True)
class SizeConditioning:
    """SDXL's size conditioning in pixels: original size, crop's top left corner, target size."""

    original_size: tuple[int, int]
    """The image file's (width, height)."""
    crop_top_left: tuple[int, int]
    """(left, upper) of the crop, after the image was resized."""
    target_size: tuple[int, int]
    """(width, height) of the crop."""
