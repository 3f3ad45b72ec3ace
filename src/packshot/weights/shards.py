"""Choosing a network's weight files: one or several shards, safetensors only."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packshot.errors import ModelLoadError
from packshot.weights.safetensors_file import CONVERT

_WEIGHTS = (
    re.compile(r"(diffusion_pytorch_)?model\.safetensors"),
    re.compile(r"(diffusion_pytorch_)?model-\d+-of-\d+\.safetensors"),
    re.compile(r"(diffusion_pytorch_)?model\.fp16\.safetensors"),
    re.compile(r"(diffusion_pytorch_)?model(\.fp16-\d+-of-\d+|-\d+-of-\d+\.fp16)\.safetensors"),
)


def chosen_weights(where: str, names: Sequence[str], *, half: bool = False) -> list[str]:
    """The weight files of a component: one file, or all shards.

    Full precision is preferred, or fp16 if `half`.

    Raises:
        ModelLoadError: there are none, or a shard is missing; the message names `where`.
    """
    some = ""
    for pattern in _WEIGHTS[2:] + _WEIGHTS[:2] if half else _WEIGHTS:
        if chosen := sorted(name for name in names if pattern.fullmatch(name)):
            shards = re.search(r"-of-(\d+)", chosen[0])
            if not shards or len(chosen) >= int(shards[1]):
                return chosen
            some = some or f"{len(chosen)} of {int(shards[1])} shards. Copy it again, whole."
    pickles = sorted(name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pth")))
    pickled = f"only {pickles[0]}, a pickle. {CONVERT}" if pickles else ""
    why = some or pickled or "nothing. Copy it again, whole."
    raise ModelLoadError(f"{where} has no .safetensors weights but {why}")


def weight_names(where: str, names: Sequence[str]) -> list[str]:
    """The weight files among a model's files: one file, or all shards.

    Raises:
        ModelLoadError: there are none, a shard is missing, or only pickles; the message names `where`.
    """
    pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth")))
    if pickles and not any(name.endswith(".safetensors") for name in names):
        raise ModelLoadError(
            f"{where} has its weights only as {pickles[0]}, a pickle, which can run code when it is "
            "opened; never opened. Many models have been converted since: look for .safetensors in "
            "its newest version, or among its pull requests (OWNER/NAME@refs/pr/NUMBER)."
        )
    return chosen_weights(where, names)
