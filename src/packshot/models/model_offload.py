"""Where networks lie: all on the GPU, or each there only while it computes and else in main memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from torch import nn

_MAIN_MEMORY = torch.device("cpu")


def offload_models(
    sizes: Mapping[nn.Module, int],
    device: torch.device,
    room: float,
    always: Collection[nn.Module] = (),
) -> None:
    """Keep networks in main memory and move each to the device for its forward pass only.

    A network of more than `room` bytes computes in main memory, unless it is one of `always`: the
    denoiser, of which it was decided before it was loaded that it fits, and the small VAE.
    """
    for network, size in sizes.items():
        place = device if size <= room or network in always else _MAIN_MEMORY
        add_hook_to_module(network, _OffloadHook(sizes, place, device))


def bring(network: nn.Module) -> None:
    """Move an offloaded network to where it computes, as its next forward pass would."""
    hook = getattr(network, "_hf_hook", None)
    if isinstance(hook, _OffloadHook):
        hook.bring(network)


class _OffloadHook(ModelHook):
    """Diffusers' pipelines create their tensors on a hook's `execution_device`."""

    def __init__(
        self, networks: Collection[nn.Module], place: torch.device, device: torch.device
    ) -> None:
        self.networks, self.place, self.execution_device = networks, place, device

    def bring(self, module: nn.Module) -> None:
        """Move all others to main memory, and this one to its place; whole, or not at all."""
        if next(module.parameters()).device == self.place:
            return
        for other in self.networks:
            if next(other.parameters()).device != _MAIN_MEMORY:
                other.to(_MAIN_MEMORY)
        try:
            module.to(self.place)
        except (
            BaseException
        ):  # memory gave out on the way: a part there would be taken for the whole
            module.to(_MAIN_MEMORY)
            raise

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        self.bring(module)
        return send_to_device(args, self.place), send_to_device(kwargs, self.place)

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        return send_to_device(output, self.execution_device)
