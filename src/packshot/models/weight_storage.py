"""Frozen weights in full precision, quantised (int8, NF4), or offloaded block by block."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor, nn

from packshot.models.block_offload import (
    SLOTS,
    BlockOffload,
    parts_to_offload,
    slot_bytes,
    tensors_of,
)
from packshot.models.quantised_linear import BLOCK, Int8Linear, Nf4Linear, QuantisedLinear
from packshot.types import WeightStorage

STORAGES: tuple[WeightStorage, ...] = get_args(WeightStorage)
BYTES = {"int8": 1.0, "nf4": 0.516}
"""Bytes per weight: with nf4's scales, 8 bits for each 64 weights and 32 for each 256 of those."""


def denoiser_blocks(denoiser: nn.Module) -> list[nn.Module]:
    """A transformer's blocks or a UNet's levels: most of a denoiser's weights."""
    rows = [child for child in denoiser.children() if isinstance(child, nn.ModuleList)]
    middle = getattr(denoiser, "mid_block", None)
    return [block for row in rows for block in row] + ([middle] if middle is not None else [])


def weight_bytes(network: nn.Module, storage: WeightStorage = "full") -> int:
    """Bytes of a network's weights on the device with this storage."""
    plain = sum(map(_bytes, network.parameters()))
    if storage == "full":
        return plain
    inside = [weight for block in denoiser_blocks(network) for weight in block.parameters()]
    if storage == "offload":
        slots = SLOTS * slot_bytes(parts_to_offload(denoiser_blocks(network)))
        return plain - sum(map(_bytes, inside)) + slots
    width = BYTES[storage]
    return plain - int(sum(_bytes(w) - width * w.numel() for w in inside if w.ndim == 2))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def apply_weight_storage(denoiser: nn.Module, storage: WeightStorage, device: torch.device) -> None:
    """Prepare a frozen denoiser in main memory for `storage`.

    Layers are quantised one by one on the device, and stay there. With "offload" everything but
    the blocks is moved to the device.

    Raises:
        ModelLoadError: the quantisation package (bitsandbytes) is not installed.
    """
    if storage == "offload":
        offload_blocks(denoiser, device)
    elif storage != "full":
        _quantise(denoiser, storage, device)


def is_quantised(module: nn.Module) -> bool:
    """Whether a module's weight is quantised."""
    return isinstance(module, QuantisedLinear)


def _quantise(denoiser: nn.Module, storage: WeightStorage, device: torch.device) -> None:
    """Replace the blocks' Linear layers by quantised ones."""
    kind = Nf4Linear if storage == "nf4" else Int8Linear
    inside = {id(module) for block in denoiser_blocks(denoiser) for module in block.modules()}
    for name, layer in [*denoiser.named_modules()]:
        if id(layer) in inside and type(layer) is nn.Linear and layer.in_features % BLOCK == 0:
            parent, _, child = name.rpartition(".")
            setattr(denoiser.get_submodule(parent), child, kind(layer, device))


def offload_blocks(denoiser: nn.Module, device: torch.device) -> None:
    """Move all but the blocks to the device; those are copied there when they compute."""
    parts = parts_to_offload(denoiser_blocks(denoiser))
    kept = {id(tensor) for part in parts for tensor in tensors_of(part).values()}
    for module in denoiser.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in kept:
                module._parameters[name] = nn.Parameter(parameter.data.to(device), False)
        for name, buffer in module._buffers.items():
            if buffer is not None and id(buffer) not in kept:
                module._buffers[name] = buffer.to(device)
    BlockOffload(denoiser, parts, device)
