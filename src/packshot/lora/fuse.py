"""Adding LoRAs to a base for a while, and leaving it exactly as it was.

Where weights are fp32 a LoRA is added to them, on their device: as fast as the base alone. In 16 bits a
weight's own rounding would swallow up to a sixth of a small LoRA, quantised weights cannot be changed, and
offloaded ones would have to be fetched and kept twice: there it stays a branch beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from packshot.errors import LoraError
from packshot.lora.layers import branch, frozen_in, swap_modules
from packshot.lora.weights import Lora, check_strength, on_device
from packshot.models.block_offload import compute_device
from packshot.models.device_memory import free_on
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.weight_storage import is_quantised

KEPT_ON_DEVICE = 0.25
"""The share of the free memory that the originals of folded weights may take there."""


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

    What is changed is kept and put back, so the base is bit-identical afterwards: on a GPU if there is
    ample room, else in main memory. Within `add_adapters` the LoRAs stand beside the one that learns,
    and learn nothing.

    Raises:
        LoraError: the base is quantised, and a LoRA has LoHa, LoKr or DoRA modules; or a weight is
            none, as `check_strength`.
    """
    for lora, weight in loras:
        check_strength(lora.name, weight)
    names = list(dict.fromkeys(n for lora, _ in loras for n in (*lora.weights, *lora.variants)))
    beside = [name for name in names if _stays_beside(module_of(base, name), name, loras)]
    folded = [name for name in names if name not in set(beside)]
    size = sum(weight_of(base, name).nbytes for name in folded)
    stays_there = size <= KEPT_ON_DEVICE * free_on(base.device)
    with ExitStack() as undone:
        for name in beside:
            network, rest = _place(base, name)
            branched = _with_branches(network.get_submodule(rest), name, loras)
            undone.enter_context(swap_modules(network, {rest: branched}))
        for name in folded:
            undone.enter_context(_changed(module_of(base, name), name, loras, stays_there))
        yield


def _stays_beside(module: nn.Module, name: str, loras: Sequence[tuple[Lora, float]]) -> bool:
    """Whether LoRAs are branches of this module; LoHa, LoKr and DoRA never are."""
    if is_quantised(module):
        return True
    weight = module.weight
    assert isinstance(weight, nn.Parameter), name
    if getattr(module, "groups", 1) != 1 or any(name in lora.variants for lora, _ in loras):
        return False
    return weight.dtype.itemsize == 2 or compute_device(module) != weight.device


@contextmanager
def _changed(
    module: nn.Module, name: str, loras: Sequence[tuple[Lora, float]], stays_there: bool
) -> Iterator[None]:
    """The weight with the LoRAs' changes, which are computed in fp32 where the module computes.

    Args:
        stays_there: keep the original on its device.
    """
    parameter, place = module.weight, compute_device(module)
    assert isinstance(parameter, nn.Parameter), name
    original = parameter.data
    frozen, change = original.to(place), torch.zeros((), device=place)
    for lora, weight in loras:
        for delta in _deltas(lora, name, frozen):
            change = change + weight * delta
    changed = frozen.float() + change.reshape(original.shape)
    kept = original if stays_there else original.cpu()  # of main memory it is the original itself
    parameter.data = torch.empty_like(original).copy_(changed)  # laid out alike
    del original, frozen, change, changed
    try:
        yield
    finally:
        parameter.data = kept.to(parameter.device)  # the network may lie elsewhere by now


def _deltas(lora: Lora, name: str, frozen: Tensor) -> Iterator[Tensor]:
    """A LoRA's changes of a weight, on its device: only the factors go there."""
    if name in lora.weights:
        yield on_device(lora.weights[name], frozen.device).delta()
    if name in lora.variants:
        yield on_device(lora.variants[name], frozen.device).delta(frozen)


def _with_branches(frozen: nn.Module, name: str, loras: Sequence[tuple[Lora, float]]) -> nn.Module:
    """The layer with a frozen LoRA branch for each LoRA."""
    place = compute_device(frozen_in(frozen))
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
