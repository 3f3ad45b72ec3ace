"""Fusing a LoRA into the base's weights during generation, and restoring them exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from packshot.errors import LoraError
from packshot.lora.layers import LoraLinear, swap_modules
from packshot.lora.weights import Lora
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.weight_storage import is_quantised


def _place(base: DiffusionModel, name: str) -> tuple[nn.Module, str]:
    """The network of a LoRA's module name, and the module's name in that network."""
    root, _, rest = name.partition(".")
    return (base.denoiser if root == base.denoiser_root else base.text_encoders[root]), rest


def module_of(base: DiffusionModel, name: str) -> nn.Module:
    """The base's module of a LoRA's module name."""
    network, rest = _place(base, name)
    return network.get_submodule(rest)


def weight_of(base: DiffusionModel, name: str) -> nn.Parameter:
    """The weight of the base's module of a LoRA's module name."""
    weight = module_of(base, name).weight
    assert isinstance(weight, nn.Parameter), name
    return weight


def shape_of(base: DiffusionModel, name: str) -> tuple[int, ...]:
    """The shape of that weight before any quantisation."""
    module = module_of(base, name)
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    return tuple(weight_of(base, name).shape)


@contextmanager
@torch.no_grad()
def fused(base: DiffusionModel, loras: Sequence[tuple[Lora, float]]) -> Iterator[None]:
    """Add each LoRA times its weight to the base while the block runs; several add up.

    The original tensors are kept in main memory and put back, so the base is bit-identical
    afterwards. A quantised layer is not changed: it gets a LoRA branch.

    Raises:
        LoraError: the base is quantised, and a LoRA has LoHa, LoKr or DoRA modules.
    """
    names = list(dict.fromkeys(n for lora, _ in loras for n in (*lora.weights, *lora.variants)))
    with ExitStack() as undone:
        for name in names:
            network, rest = _place(base, name)
            if is_quantised(module_of(base, name)):
                branched = _with_branches(module_of(base, name), name, loras)
                undone.enter_context(swap_modules(network, {rest: branched}))
            else:
                undone.enter_context(_changed(weight_of(base, name), name, loras))
        yield


@contextmanager
def _changed(
    parameter: nn.Parameter, name: str, loras: Sequence[tuple[Lora, float]]
) -> Iterator[None]:
    original, place = parameter.data, parameter.device
    change = torch.zeros((), device="cpu")
    for lora, weight in loras:
        for delta in _deltas(lora, name, original):
            change = change + weight * delta
    changed = original.float() + change.to(place).reshape(original.shape)
    kept = original.cpu()  # where that is no copy, it is the original itself
    parameter.data = changed.to(parameter.dtype)
    del original, changed
    try:
        yield
    finally:
        parameter.data = kept.to(place)


def _deltas(lora: Lora, name: str, frozen: Tensor) -> Iterator[Tensor]:
    if name in lora.weights:
        yield lora.weights[name].delta()
    if name in lora.variants:
        yield lora.variants[name].delta(frozen)


def _with_branches(frozen: nn.Module, name: str, loras: Sequence[tuple[Lora, float]]) -> nn.Module:
    """The layer with a LoRA branch for each LoRA."""
    place = next(frozen.parameters()).device
    for lora, weight in loras:
        if name in lora.variants:
            raise LoraError(
                f"{lora.name} is a LoHa, LoKr or DoRA, which a quantised base cannot take. "
                'Set weight_storage = "full" in packshot.toml.'
            )
        if own := lora.weights.get(name):
            scale = weight * own.alpha / own.rank
            frozen = LoraLinear(frozen, own.down.to(place), own.up.to(place), scale)
    return frozen
