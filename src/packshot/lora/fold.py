"""Folding: a LoRA added into the weights while pictures are made, and taken out exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from packshot.bases.base import Base
from packshot.lora.weights import Lora


def weight_of(base: Base, name: str) -> nn.Parameter:
    """The weight of the base's module that a LoRA's name means."""
    root, _, rest = name.partition(".")
    network = base.denoiser if root == base.denoiser_root else base.text_encoders[root]
    weight = network.get_submodule(rest).weight
    assert isinstance(weight, nn.Parameter), name
    return weight


@contextmanager
@torch.no_grad()
def folded(base: Base, loras: Sequence[tuple[Lora, float]]) -> Iterator[None]:
    """Add each LoRA times its weight to the base while the block runs; several add up.

    The original tensors themselves are put back, so the base is bit-identical afterwards.
    """
    deltas: dict[str, Tensor] = {}
    for lora, weight in loras:
        changes = {name: weights.delta() for name, weights in lora.weights.items()}
        changes |= {n: other.delta(weight_of(base, n).data) for n, other in lora.others.items()}
        for name, delta in changes.items():
            delta = delta * weight
            deltas[name] = deltas[name] + delta if name in deltas else delta
    originals: list[tuple[nn.Parameter, Tensor]] = []
    try:
        for name, delta in deltas.items():
            parameter = weight_of(base, name)
            originals.append((parameter, parameter.data))
            moved = delta.to(parameter.device).reshape(parameter.shape)
            parameter.data = (parameter.data.float() + moved).to(parameter.dtype)
        yield
    finally:
        for parameter, original in originals:
            parameter.data = original
