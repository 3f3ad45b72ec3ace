"""Model offload: a network is on the GPU only during its forward pass; the others wait in RAM."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from torch import nn

ROOM_TO_COMPUTE = 0.25
"""The share of a GPU's free memory that is kept free for activations."""
_MAIN_MEMORY = torch.device("cpu")


def weight_memory_budget(device: torch.device) -> float:
    """Bytes that weights may take on a device; infinite on the CPU, where they are loaded anyway."""
    if device.type != "cuda":
        return float("inf")
    return (1 - ROOM_TO_COMPUTE) * torch.cuda.mem_get_info(device)[0]


def offload_models(sizes: Mapping[nn.Module, int], device: torch.device, room: float) -> None:
    """Keep networks in main memory and move each to the device for its forward pass only.

    A network of more than `room` bytes computes in main memory.
    """
    for network, size in sizes.items():
        place = device if size <= room else _MAIN_MEMORY
        add_hook_to_module(network, _OffloadHook(sizes, place, device))


class _OffloadHook(ModelHook):
    """Diffusers' pipelines create their tensors on a hook's `execution_device`."""

    def __init__(
        self, networks: Collection[nn.Module], place: torch.device, device: torch.device
    ) -> None:
        self.networks, self.place, self.execution_device = networks, place, device

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if next(module.parameters()).device != self.place:
            for other in self.networks:
                if next(other.parameters()).device != _MAIN_MEMORY:
                    other.to(_MAIN_MEMORY)
            module.to(self.place)
        return send_to_device(args, self.place), send_to_device(kwargs, self.place)

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        return send_to_device(output, self.execution_device)
