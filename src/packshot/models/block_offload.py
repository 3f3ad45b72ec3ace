"""Blocks that wait in main memory, each copied to the GPU when it computes.

There are two slots on the GPU: a block computes in one while the next block is copied to the other, on a
stream of its own and from pinned memory. Copies are needed twice in a training step, for the forward
pass and for the backward pass, which computes each block again (arXiv 1604.06174): copies that the graph
kept would fill the memory that offload saves.

diffusers' group offloading is made for inference. It moves every parameter by itself, trainable ones too,
from memory that PyTorch's allocator rounds up to a power of two, waits on the CPU for each copy, and
copies ahead in the forward order only, which gradient checkpointing turns round.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

SLOTS = 2
PINNED_SHARE = 0.4 if sys.platform == "win32" else 0.8
"""Of the machine's memory, at most; Windows pins no more than half of it."""
_ALIGNMENT = 256
"""Of a tensor in a slot, in bytes; as that of CUDA's own allocations."""
_COMPUTE_DEVICE = "_compute_device"
"""The attribute of an offloaded layer that says where it computes."""


def parts_to_offload(blocks: Sequence[nn.Module]) -> list[nn.Module]:
    """What is copied at once: a block, or each layer of a block that only lists layers (a UNet's level)."""
    parts = [part for block in blocks for part in _listed(block) or [block]]
    return [part for part in parts if tensors_of(part)]


def _listed(block: nn.Module) -> list[nn.Module]:
    lists = [child for child in block.children() if isinstance(child, nn.ModuleList)]
    inside = {id(tensor) for row in lists for tensor in tensors_of(row).values()}
    holds_all = inside == {id(tensor) for tensor in tensors_of(block).values()}
    return [layer for row in lists for layer in row] if holds_all else []


def slot_bytes(parts: Sequence[nn.Module]) -> int:
    """Bytes of a slot: those of the largest part."""
    return max((sum(map(_aligned_bytes, tensors_of(part).values())) for part in parts), default=0)


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers by their names."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def compute_device(layer: nn.Module) -> torch.device:
    """Where a layer computes, though its weights may wait in main memory."""
    device: torch.device | None = layer.__dict__.get(_COMPUTE_DEVICE)
    return device or next(layer.parameters()).device


class BlockOffload:
    """Moves parts of a network to main memory, and has each computed in copies on the device.

    Only what a part holds now is moved: LoRA layers that are put into it later stay on the device.
    Each forward pass of `network` begins anew: nothing is copied ahead from one to the next, so weights
    may change in between.

    Args:
        parts: see `parts_to_offload`; they compute one after the other, in any order.
        device: where there are no streams (other than CUDA), copies are waited for.
    """

    def __init__(
        self, network: nn.Module, parts: Sequence[nn.Module], device: torch.device
    ) -> None:
        import psutil

        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        size = slot_bytes(parts)
        self._slots = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(SLOTS)]
        for number, slot in enumerate(self._slots):  # as what the network keeps there for good
            network.register_buffer(f"slot_{number}", slot, persistent=False)
            if self._stream:  # whoever gets their memory next waits for a copy under way
                slot.record_stream(self._stream)
        self._now = 0
        self._ahead: _Part | None = None
        """Whose copy is in the other slot, or on its way there."""
        self._copied: torch.cuda.Event | None = None
        self._last: _Part | None = None
        self._after: dict[_Part, _Part] = {}
        self._before: dict[_Part, _Part] = {}
        """The order in which they computed last."""
        room = PINNED_SHARE * psutil.virtual_memory().total if self._stream else 0.0
        for module in parts:
            part = _Part(module, self._slots, room)
            room -= part.weights.numel()
            for layer in module.modules():
                layer.__dict__[_COMPUTE_DEVICE] = device
            module.forward = self._forward_of(part)
        network.register_forward_pre_hook(self._begin)

    def _begin(self, *_: Any) -> None:
        self._last = self._ahead = None

    def _forward_of(self, part: _Part) -> Callable[..., Any]:
        """The part's forward, with copies; with gradients, computed and copied again for them."""
        compute = part.module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            if part.is_computing:
                return compute(*args, **kwargs)
            run = partial(self._compute, part, count())
            if torch.is_grad_enabled():
                return checkpoint(run, *args, use_reentrant=False, **kwargs)
            return run(*args, **kwargs)

        return forward

    def _compute(self, part: _Part, passes: Iterator[int], *args: Any, **kwargs: Any) -> Any:
        """The part's output; meanwhile the next one is copied.

        Autograd goes through blocks strictly backwards. So whatever computes in the other slot, forwards
        or backwards, has been given to the GPU by now, and has ended where the GPU is `here`.
        """
        here = torch.cuda.current_stream(self._device).record_event() if self._stream else None
        if self._ahead is not part:
            self._copy(part, here)
        if self._copied:
            torch.cuda.current_stream(self._device).wait_event(self._copied)
        self._now, self._ahead = 1 - self._now, None
        following = self._following(part, is_again=next(passes) > 0)
        if following and (following.is_pinned or not self._stream):
            self._copy(following, here)
        part.is_computing = True
        try:
            return functional_call(part.module, part.copies(self._now), args, kwargs)
        finally:
            part.is_computing = False
            if following and self._ahead is None:  # from memory that is not pinned, the CPU waits
                self._copy(following, here)

    def _following(self, part: _Part, *, is_again: bool) -> _Part | None:
        """The part that is expected next; None after the last one."""
        if is_again:
            return self._before.get(part)
        if self._last:
            self._after[self._last], self._before[part] = part, self._last
        self._last = part
        return self._after.get(part)

    def _copy(self, part: _Part, free: torch.cuda.Event | None) -> None:
        """Copy a part to the slot that nothing computes in after the event `free`."""
        with torch.cuda.stream(self._stream) if self._stream else nullcontext():
            if self._stream and free:
                self._stream.wait_event(free)
            part.copy_to(self._slots, 1 - self._now)
            self._copied = self._stream.record_event() if self._stream else None
        self._ahead = part


class _Part:
    """A module whose tensors lie in one piece of main memory.

    Attributes:
        weights: that piece, uint8.
        is_pinned: whether the GPU reads it by itself, while the CPU goes on.
        is_computing: whether its forward is under way.
    """

    def __init__(self, module: nn.Module, slots: Sequence[Tensor], room: float) -> None:
        """`room`: how many bytes may be pinned."""
        self.module, self.is_computing = module, False
        tensors = list({id(one): one for one in tensors_of(module).values()}.values())
        size = sum(map(_aligned_bytes, tensors))
        self.weights = torch.empty(size, dtype=torch.uint8)
        self._places: list[tuple[Tensor, Tensor, list[Tensor]]] = []
        """Each tensor, where it was put in main memory, and where it comes in the slots."""
        offset = 0
        for tensor in tensors:
            here = _view(self.weights, offset, tensor)
            here.copy_(tensor.data)
            tensor.data = here
            self._places.append((tensor, here, [_view(slot, offset, tensor) for slot in slots]))
            offset += _aligned_bytes(tensor)
        self.is_pinned = size <= room and _pin(self.weights, slots[0].device)
        if self.is_pinned:
            weakref.finalize(self, _unpin, self.weights, slots[0].device).atexit = False

    def copy_to(self, slots: Sequence[Tensor], number: int) -> None:
        """Copy the tensors to a slot, on the current stream."""
        slots[number][: self.weights.numel()].copy_(self.weights, non_blocking=True)
        for tensor, here, copies in self._places:
            if tensor.data_ptr() != here.data_ptr():  # a LoRA was folded into it
                copies[number].copy_(tensor, non_blocking=True)

    def copies(self, number: int) -> dict[str, Tensor]:
        """What lies in a slot, by the names that the module's tensors have now."""
        known = {id(tensor): copies[number] for tensor, _, copies in self._places}
        named = tensors_of(self.module).items()
        return {name: known[id(tensor)] for name, tensor in named if id(tensor) in known}


def _aligned_bytes(tensor: Tensor) -> int:
    size = tensor.numel() * tensor.element_size()
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _view(piece: Tensor, offset: int, like: Tensor) -> Tensor:
    """A tensor in a piece of memory [bytes], of a tensor's shape, layout and dtype."""
    size = like.numel() * like.element_size()
    strides = torch.empty_like(like, device="meta").stride()  # dense, whatever the tensor's
    return piece[offset : offset + size].view(like.dtype).as_strided(like.shape, strides)


def _pin(piece: Tensor, device: torch.device) -> bool:
    """Lock a piece of main memory where it is; False where that fails.

    `Tensor.pin_memory` would copy it, and round its size up to a power of two.
    """
    runtime = torch.cuda.cudart()
    if int(runtime.cudaHostRegister(piece.data_ptr(), piece.numel(), 0)) != 0:
        with suppress(RuntimeError):  # CUDA reports it once more, to the next kernel
            torch.zeros(1, device=device)
        return False
    return True


def _unpin(piece: Tensor, device: torch.device) -> None:
    torch.cuda.synchronize(device)
    torch.cuda.cudart().cudaHostUnregister(piece.data_ptr())
