"""Adding LoRAs to a base for a while, and leaving it exactly as it was.

Where weights are fp32 a LoRA is added to them: as fast as the base alone. In 16 bits a weight's own
rounding would swallow up to a sixth of a small LoRA, and quantised weights cannot be changed: there
it stays a branch beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from packshot.errors import LoraError
from packshot.lora.layers import branch, frozen_in, swap_modules
from packshot.lora.weights import Lora
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.weight_storage import is_quantised


def _place(base: DiffusionModel, name: str) -> tuple[nn.Module, str]:
    """The network of a LoRA's module name, and the module's name in that network."""
    root, _, rest = name.partition(".")
    return (base.denoiser if root == base.denoiser_root else base.text_encoders[root]), rest


def module_of(base: DiffusionModel, name: str) -> nn.Module:
    """The base's module of a LoRA's module name; within LoRA layers that are there by now."""
    network, rest = _place(base, name)
    return frozen_in(network.get_submodule(rest))


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

    What is changed is kept in main memory and put back, so the base is bit-identical afterwards.
    Within `add_adapters` they stand beside the LoRA that learns, and learn nothing.

    Raises:
        LoraError: the base is quantised, and a LoRA has LoHa, LoKr or DoRA modules.
    """
    names = list(dict.fromkeys(n for lora, _ in loras for n in (*lora.weights, *lora.variants)))
    with ExitStack() as undone:
        for name in names:
            network, rest = _place(base, name)
            if _stays_beside(module_of(base, name), name, loras):
                branched = _with_branches(network.get_submodule(rest), name, loras)
                undone.enter_context(swap_modules(network, {rest: branched}))
            else:
                undone.enter_context(_changed(weight_of(base, name), name, loras))
        yield


def _stays_beside(module: nn.Module, name: str, loras: Sequence[tuple[Lora, float]]) -> bool:
    """Whether LoRAs are branches of this module; LoHa, LoKr and DoRA never are."""
    if is_quantised(module):
        return True
    weight = module.weight
    assert isinstance(weight, nn.Parameter), name
    is_half = weight.dtype.itemsize == 2 and getattr(module, "groups", 1) == 1
    return is_half and not any(name in lora.variants for lora, _ in loras)


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
        parameter.data = kept.to(parameter.device)  # model offload may have moved it


def _deltas(lora: Lora, name: str, frozen: Tensor) -> Iterator[Tensor]:
    if name in lora.weights:
        yield lora.weights[name].delta()
    if name in lora.variants:
        yield lora.variants[name].delta(frozen)


def _with_branches(frozen: nn.Module, name: str, loras: Sequence[tuple[Lora, float]]) -> nn.Module:
    """The layer with a frozen LoRA branch for each LoRA."""
    place = next(frozen.parameters()).device
    for lora, weight in loras:
        if name in lora.variants:
            raise LoraError(
                f"{lora.name} is a LoHa, LoKr or DoRA, which a quantised base cannot take. "
                'Set weight_storage = "full" in packshot.toml.'
            )
        if own := lora.weights.get(name):
            scale = weight * own.alpha / own.rank
            frozen = branch(frozen, own.down.to(place), own.up.to(place), scale)
            frozen.down.requires_grad_(False)
            frozen.up.requires_grad_(False)
    return frozen
